/* SPDX-License-Identifier: Apache-2.0
 *
 * The relay for C: records from one process to another without a lock, a notification or a wait.
 * Installed as <fairlead/relay.h>; link with `pkg-config --cflags --libs fairlead-relay`.
 *
 * Order: open, connect, write, read, disconnect, close.  What each call does in a wrong order
 * stands with it; none is a leak, none is undefined.
 *
 * Thread-safety: fl_relay_write() from any thread; everything else of one object from one thread at
 * a time.  Ownership: what open and connect give is freed by fl_relay_producer_free() and
 * fl_relay_consumer_free(), which close and disconnect if need be.
 * Errors: functions that return int give 0 or more, or a negative errno; fl_relay_error() says what
 * was wrong, for people.
 */
#ifndef FAIRLEAD_RELAY_H
#define FAIRLEAD_RELAY_H

#include <stddef.h>
#include <stdint.h>

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

/* To be handed to who is to be the consumer, with the size of the memory; -1 after close. */
int fl_relay_fd(const struct fl_relay_producer* producer, uint64_t* bytes);

/* Ends writing; waits until a connected consumer has read all, with `keep` also for the first to
 * connect, for drain_ms at most.  1: it has; 0: not, or there is none; a consumer that is connected
 * can still read what is left.  -ENOTCONN the second time. */
int fl_relay_close(struct fl_relay_producer* producer, uint32_t drain_ms);
void fl_relay_producer_free(struct fl_relay_producer* producer); /* null is fine */

/* -ENOENT: nobody has the name; -EBUSY: a consumer is connected. */
int fl_relay_connect(const char* name, struct fl_relay_consumer** consumer);
int fl_relay_connect_fd(int fd, uint64_t bytes, struct fl_relay_consumer** consumer);

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

/* Until there may be something, or ms are over.  1: look; 0: not. */
int fl_relay_wait(struct fl_relay_consumer* consumer, uint32_t ms);

/* For poll(2): readable once a millisecond, until fl_relay_read() has found nothing. */
int fl_relay_poll_fd(struct fl_relay_consumer* consumer);

uint64_t fl_relay_stamps_per_second(const struct fl_relay_consumer* consumer);
uint64_t fl_relay_no_stream(const struct fl_relay_consumer* consumer); /* FL_RELAY_NO_STREAM's */

int fl_relay_disconnect(struct fl_relay_consumer* consumer);     /* -ENOTCONN the second time */
void fl_relay_consumer_free(struct fl_relay_consumer* consumer); /* null is fine */

/* Of this thread's last call that failed; valid until the next one that does. */
const char* fl_relay_error(void);
/* NOLINTEND(readability-identifier-naming) */

#ifdef __cplusplus
}
#endif

#endif
