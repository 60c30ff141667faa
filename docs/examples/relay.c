/* SPDX-License-Identifier: Apache-2.0
 *
 * A relay channel between two processes: `relay NAME` writes its standard input into it, line by
 * line; `relay -r NAME` reads it until the writer ends.
 */
#include <fairlead/relay.h>
#include <stdio.h>
#include <string.h>

static int fail(const char *what) {
  fprintf(stderr, "relay: %s: %s\n", what, fl_relay_error());
  return 1;
}

static int write_lines(const char *name) {
  const struct fl_relay_options options = {.keep = 1};
  struct fl_relay_producer *producer;
  char line[4096];
  if (fl_relay_open(name, &options, &producer) < 0) return fail("open");
  while (fgets(line, sizeof line, stdin) != NULL) {
    fl_relay_write(producer, 1, line, strlen(line));
  }
  fl_relay_close(producer, 10000);
  fl_relay_producer_free(producer);
  return 0;
}

static int read_lines(const char *name) {
  struct fl_relay_consumer *consumer;
  struct fl_relay_record record;
  int found;
  if (fl_relay_connect(name, &consumer) < 0) return fail("connect");
  while ((found = fl_relay_read(consumer, &record)) >= 0) {
    if (found == 1) fwrite(record.payload, 1, record.bytes, stdout);
    if (found == 0) fl_relay_wait(consumer, 1000);
  }
  fl_relay_consumer_free(consumer);
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 2) return write_lines(argv[1]);
  if (argc == 3 && strcmp(argv[1], "-r") == 0) return read_lines(argv[2]);
  fprintf(stderr, "usage: relay NAME | relay -r NAME\n");
  return 2;
}
