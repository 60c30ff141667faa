/* SPDX-License-Identifier: Apache-2.0
 *
 * The relay for C: records from one process to another without a lock, a notification or a wait.
 * Installed as <fairlead/relay.h>; link with `pkg-config --cflags --libs fairlead-relay`.
 *
 * Order: open, connect, write, read, disconnect, close.  What each call does in a wrong order
 * stands with it; none is a leak, none is undefined, each is counted: writes with the losses, the
 * rest by fl_relay_producer_wrong_calls(), fl_relay_consumer_wrong_calls() and, where there is no
 * object, fl_relay_refused_calls().  A child after fork() has no part in its parent's objects: each
 * call there is a wrong one.
 *
 * Thread-safety: fl_relay_write(), fl_relay_has_room() and fl_relay_connected() from any thread;
 * fl_relay_answer_clock() from one of its own, until close; everything else of one object from one
 * thread at a time.  Ownership: what open and connect give is freed by fl_relay_producer_free() and
 * fl_relay_consumer_free(), which close and disconnect if need be; where they fail they give null,
 * with which every call is a wrong one, too.
 * Errors: functions that return int give 0 or more, or a negative errno, -EBADF for a null object;
 * fl_relay_error() says what was wrong, for people.
 */
#ifndef FAIRLEAD_RELAY_H
#define FAIRLEAD_RELAY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* NOLINTBEGIN(readability-identifier-naming): names as C has them */
struct fl_relay_producer;
struct fl_relay_consumer;

/* Zero: the default, in brackets. */
struct fl_relay_options {
  uint32_t streams;          /* threads that write at once: 1 to 24 [8] */
  uint32_t sub_buffer_bytes; /* power of two, 4096 to 16 MiB [65536] */
  uint32_t sub_buffers;      /* of each stream, power of two, 4 to 4096 [8] */
  uint32_t item_bytes;       /* records of one size, without headers; 0: of any */
  int overwrite;             /* full: the oldest is lost, not the newest */
  int keep;                  /* what is written before anybody connects */
};

/* Makes a channel that others find by `name`, in $FAIRLEAD_RUNTIME_DIR or its defaults; a null
 * name: by nothing but fl_relay_fd().  Null options: the defaults.  -EEXIST: a living producer has
 * the name. */
int fl_relay_open(const char* name, const struct fl_relay_options* options,
                  struct fl_relay_producer** producer);

/* The same in memory of somebody else's, as a card's out of a guest: zero, at a page, mapped until
 * after free.  Nobody can tell a producer there that died from one that is silent: let it call
 * fl_relay_answer_clock(), for fl_relay_heartbeat().  -EINVAL: less than fl_relay_bytes(). */
int fl_relay_open_in(void* memory, uint64_t bytes, const struct fl_relay_options* options,
                     struct fl_relay_producer** producer);
uint64_t fl_relay_bytes(const struct fl_relay_options* options); /* 0: they are out of bounds */

/* What became of a record.  All but the first are lost, counted, and told to the consumer. */
enum fl_relay_written {
  FL_RELAY_WRITTEN = 0,
  FL_RELAY_FULL = 1,
  FL_RELAY_TOO_BIG = 2,
  FL_RELAY_NOBODY = 3,    /* no consumer is connected */
  FL_RELAY_CLOSED = 4,    /* after fl_relay_close() */
  FL_RELAY_NESTED = 5,    /* by a signal handler inside a write */
  FL_RELAY_NO_STREAM = 6, /* more threads write than there are streams */
};
enum fl_relay_written fl_relay_write(struct fl_relay_producer* producer, uint16_t type,
                                     const void* payload, size_t bytes);

/* 1: a write of so many bytes would find room now; 0: it would be lost as FL_RELAY_FULL.  For who
 * can wait; nothing is counted. */
int fl_relay_has_room(struct fl_relay_producer* producer, size_t bytes);

/* 1: a consumer is connected.  One look at memory: to be asked before an event is made. */
int fl_relay_connected(const struct fl_relay_producer* producer);

/* Says that the producer lives, and answers a consumer that measures its clock; as questions come
 * in bursts, it then looks for more for spin_us after each.  For a producer whose clock is another
 * than its consumer's, every few milliseconds.  1: it answered; 0: nobody asked; -ENOTCONN after
 * close.  No system call. */
int fl_relay_answer_clock(struct fl_relay_producer* producer, uint32_t spin_us);

/* To be handed to who is to be the consumer, with the size of the memory; -1 after close, and for
 * memory of somebody else's. */
int fl_relay_fd(const struct fl_relay_producer* producer, uint64_t* bytes);

/* Ends writing; waits until a connected consumer has read all, with `keep` also for the first to
 * connect, for drain_ms at most.  1: it has; 0: not, or there is none; a consumer that is connected
 * can still read what is left.  -ENOTCONN the second time. */
int fl_relay_close(struct fl_relay_producer* producer, uint32_t drain_ms);
uint64_t fl_relay_producer_wrong_calls(const struct fl_relay_producer* producer); /* after close */
void fl_relay_producer_free(struct fl_relay_producer* producer);                  /* null is fine */

/* -ENOENT: nobody has the name; -EBUSY: a consumer is connected; -EPROTO: it is no channel. */
int fl_relay_connect(const char* name, struct fl_relay_consumer** consumer);
int fl_relay_connect_fd(int fd, uint64_t bytes, struct fl_relay_consumer** consumer);

/* In memory that the caller has mapped, at a page, until after free.  Nothing keeps two consumers
 * apart there.  -EPROTO also: no producer has opened it yet. */
int fl_relay_connect_in(void* memory, uint64_t bytes, struct fl_relay_consumer** consumer);

/* Calls of this process that were refused because nobody has the name, somebody has it already, a
 * consumer is connected, or the object is null. */
uint64_t fl_relay_refused_calls(void);

/* Records that did not come, since the last time that this was told. */
struct fl_relay_losses {
  uint64_t full, big, state, nested, overwritten, corrupt;
  uint64_t bytes;                   /* of the first three */
  uint64_t first_stamp, last_stamp; /* of the newest gap of these; 0: none */
};

struct fl_relay_record {
  uint32_t stream;
  uint16_t type;  /* 0 for items */
  uint64_t stamp; /* of the channel's clock; 0 for items */
  const void* payload;
  size_t bytes;
  uint64_t number;               /* among all that this stream's threads tried to write, from 1 */
  struct fl_relay_losses losses; /* just before it */
};

/* The next record.  1: there is one; its payload is valid until the next call.  2: there are losses
 * and nothing after them yet; 0: nothing now; -EPIPE: nothing any more, for the producer has ended;
 * -EPROTO: a stream whose positions make no sense was given up; -ENOTCONN after disconnect.
 *
 * Asking for the next record says that this one has been dealt with.  What a consumer that died had
 * not dealt with, and up to a sub-buffer before it, its successor gets. */
int fl_relay_read(struct fl_relay_consumer* consumer, struct fl_relay_record* record);

/* Records of one stream, one after the other. */
struct fl_relay_batch {
  uint32_t stream;
  uint32_t records;
  const unsigned char* data; /* items, or records as fl_relay_next() takes them apart */
  size_t bytes;
  size_t stride;                 /* from one item to the next; 0: records */
  uint32_t item_bytes;           /* of an item */
  uint32_t taken;                /* fl_relay_next(): records so far */
  size_t at;                     /* and where the next one begins */
  uint64_t first;                /* number of the first record, as fl_relay_record's */
  struct fl_relay_losses losses; /* just before it */
};

/* As many records as take `most` bytes together with their headers, or the first if that is longer:
 * at a cost that is theirs all together, where fl_relay_read() has one for each.  Gives what
 * fl_relay_read() gives; the two may take turns. */
int fl_relay_read_many(struct fl_relay_consumer* consumer, size_t most,
                       struct fl_relay_batch* batch);

/* What stands before each record that is no item; records begin at multiples of 8. */
struct fl_relay_header {
  uint32_t bytes; /* with this header */
  uint16_t type;
  uint16_t sequence; /* the lowest bits of its number */
  uint64_t stamp;
};

/* The next record of a batch; 0: there is none.  Its losses are the batch's, and left alone. */
static inline int fl_relay_next(struct fl_relay_batch* batch, struct fl_relay_record* record) {
  struct fl_relay_header header = {0, 0, 0, 0};
  const unsigned char* begin;
  if (batch->at >= batch->bytes) return 0;
  begin = batch->data + batch->at;
  record->payload = begin;
  record->bytes = batch->item_bytes;
  if (batch->stride == 0) {
    memcpy(&header, begin, sizeof header);
    record->payload = begin + sizeof header;
    record->bytes = header.bytes - sizeof header;
    batch->at += ((size_t)header.bytes + 7) & ~(size_t)7;
  } else {
    batch->at += batch->stride;
  }
  record->stream = batch->stream;
  record->type = header.type;
  record->stamp = header.stamp;
  record->number = batch->first + batch->taken++;
  return 1;
}

/* Until there may be something, or ms are over.  1: look; 0: not. */
int fl_relay_wait(struct fl_relay_consumer* consumer, uint32_t ms);

/* For poll(2): readable once a millisecond, until fl_relay_read() has found nothing. */
int fl_relay_poll_fd(struct fl_relay_consumer* consumer);

uint64_t fl_relay_stamps_per_second(const struct fl_relay_consumer* consumer);
uint64_t fl_relay_no_stream(const struct fl_relay_consumer* consumer); /* FL_RELAY_NO_STREAM's */

/* The producer's stamp when it last said that it lives (fl_relay_answer_clock()); 0: never. */
uint64_t fl_relay_heartbeat(const struct fl_relay_consumer* consumer);

/* How a producer's clock stands to ours, of the same kind: both count at one rate, from different
 * beginnings. */
struct fl_relay_clock {
  int64_t offset;      /* its stamp less ours of the same moment; the truth is within half_width */
  uint64_t half_width; /* stamps, as offset */
  uint64_t at;         /* our stamp when that was last measured */
  uint64_t steps;      /* how often it was found to have stepped: what was known before is void */
};

/* Asks so many rounds [0: 64], for ms until the first is answered.  What is measured is an interval
 * that holds the truth; those of many calls are intersected.  0: it fits what was known; 1: the
 * clock has stepped since; -ETIMEDOUT: the producer does not answer; -ENOSYS: its clock is of
 * another kind; -ENOTCONN after disconnect.  `clock` may be null.  The first call of this or
 * fl_relay_time_of() takes 20 ms more: it measures the rate of our own clock. */
int fl_relay_measure_clock(struct fl_relay_consumer* consumer, uint32_t rounds, uint32_t ms,
                           struct fl_relay_clock* clock);

/* What has been measured so far.  -ENODATA: nothing. */
int fl_relay_clock_of(const struct fl_relay_consumer* consumer, struct fl_relay_clock* clock);

/* When a producer's stamp was taken, as this host's clocks tell it; the truth is within each half
 * width. */
struct fl_relay_time {
  uint64_t stamp; /* ours */
  uint64_t half_width;
  int64_t monotonic_ns; /* CLOCK_MONOTONIC */
  uint64_t half_width_ns;
  uint64_t steps; /* of fl_relay_clock: times of different counts do not compare */
};

/* Producers that were connected to by name or descriptor have our clock: nothing need be measured.
 * The second half width has a thousandth of the time since then in it, as the kernel steers
 * CLOCK_MONOTONIC: so ask soon.  0, or -ENODATA: memory of somebody else's, and nothing was
 * measured. */
int fl_relay_time_of(const struct fl_relay_consumer* consumer, uint64_t stamp,
                     struct fl_relay_time* time);

int fl_relay_disconnect(struct fl_relay_consumer* consumer); /* -ENOTCONN the second time */
uint64_t fl_relay_consumer_wrong_calls(const struct fl_relay_consumer* consumer); /* after that */
void fl_relay_consumer_free(struct fl_relay_consumer* consumer);                  /* null is fine */

/* Of this thread's last call that failed; valid until the next one that does. */
const char* fl_relay_error(void);
/* NOLINTEND(readability-identifier-naming) */

#ifdef __cplusplus
}
#endif

#endif
