/* SPDX-License-Identifier: Apache-2.0
 *
 * A relay channel in memory that a guest and its host share: `relay_clock FILE` writes its standard
 * input into it, line by line; `relay_clock -r FILE` reads it until the writer ends, and says of
 * each line when it was written, by the reader's CLOCK_MONOTONIC, in nanoseconds, and within what.
 *
 * In the guest FILE is the memory of an ivshmem card, /sys/bus/pci/devices/.../resource2; on the
 * host it is the file that QEMU has for it.  Both ends may as well be on one host, with a file in
 * /dev/shm of at least a megabyte of zeroes.
 */
#include <fairlead/relay.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(const char *what) {
  fprintf(stderr, "relay_clock: %s: %s\n", what, fl_relay_error());
  return 1;
}

static void *map(const char *file, uint64_t *bytes) {
  struct stat status;
  void *memory = MAP_FAILED;
  const int fd = open(file, O_RDWR | O_CLOEXEC);
  if (fd >= 0 && fstat(fd, &status) == 0) {
    *bytes = (uint64_t)status.st_size;
    memory = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  if (memory == MAP_FAILED) perror(file);
  if (fd >= 0) close(fd);
  return memory == MAP_FAILED ? NULL : memory;
}

/* A consumer that asks for the clock waits some milliseconds for an answer. */
static int write_lines(void *memory, uint64_t bytes) {
  const struct fl_relay_options options = {.streams = 1, .keep = 1};
  struct fl_relay_producer *producer;
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  char line[4096];
  size_t have = 0;
  if (fl_relay_open_in(memory, bytes, &options, &producer) < 0) return fail("open");
  for (;;) {
    ssize_t got = 0;
    fl_relay_answer_clock(producer, 200);
    if (poll(&input, 1, 5) == 0) continue;
    if ((got = read(STDIN_FILENO, line + have, sizeof line - have)) <= 0) break;
    have += (size_t)got;
    for (char *end; (end = memchr(line, '\n', have)) != NULL || have == sizeof line;) {
      const size_t length = end != NULL ? (size_t)(end - line) + 1 : have;
      fl_relay_write(producer, 1, line, length);
      memmove(line, line + length, have - length);
      have -= length;
    }
  }
  fl_relay_close(producer, 10000);
  fl_relay_producer_free(producer);
  return 0;
}

static int read_lines(void *memory, uint64_t bytes) {
  struct fl_relay_consumer *consumer;
  struct fl_relay_batch batch;
  struct fl_relay_record record;
  struct fl_relay_time time;
  int found;
  if (fl_relay_connect_in(memory, bytes, &consumer) < 0) return fail("connect");
  if (fl_relay_measure_clock(consumer, 0, 5000, NULL) < 0) return fail("measure the clock");
  while ((found = fl_relay_read_many(consumer, 65536, &batch)) >= 0) {
    if (found == 0 && fl_relay_wait(consumer, 1000) == 0) {
      fl_relay_measure_clock(consumer, 0, 20, NULL); /* it may have stepped */
    }
    while (fl_relay_next(&batch, &record)) {
      if (fl_relay_time_of(consumer, record.stamp, &time) < 0) return fail("tell the time");
      printf("%" PRId64 " +- %" PRIu64 ": ", time.monotonic_ns, time.half_width_ns);
      fwrite(record.payload, 1, record.bytes, stdout);
    }
    fflush(stdout);
  }
  fl_relay_consumer_free(consumer);
  return 0;
}

int main(int argc, char **argv) {
  const int reads = argc == 3 && strcmp(argv[1], "-r") == 0;
  uint64_t bytes = 0;
  void *memory;
  if (argc != 2 && !reads) {
    fprintf(stderr, "usage: relay_clock FILE | relay_clock -r FILE\n");
    return 2;
  }
  memory = map(argv[argc - 1], &bytes);
  if (memory == NULL) return 1;
  return reads ? read_lines(memory, bytes) : write_lines(memory, bytes);
}
