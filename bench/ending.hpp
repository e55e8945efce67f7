// SIGTERM and SIGINT end a program between two pieces of work, and wait() at once.
#pragma once

#include <csignal>

namespace cache_invalidate::bench {

// Blocks the signals; has to be called before anything else is.
void expect_end();
bool is_ending();
// Until the socket can be read (none: -1), a signal to end, or the time is over. True: it can be read.
bool wait(int socket, int milliseconds);

}  // namespace cache_invalidate::bench
