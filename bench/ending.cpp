#include "ending.hpp"

#include <poll.h>

#include <ctime>
#include <initializer_list>

namespace cache_invalidate::bench {

namespace {

volatile std::sig_atomic_t ended = 0;
sigset_t unblocked;

}  // namespace

void expect_end() {
  struct sigaction action = {};
  action.sa_handler = [](int) { ended = 1; };
  sigset_t blocked;
  sigemptyset(&blocked);
  for (const int signal : {SIGTERM, SIGINT}) {
    sigaddset(&blocked, signal);
    sigaction(signal, &action, nullptr);
  }
  sigprocmask(SIG_BLOCK, &blocked, &unblocked);
  sigdelset(&unblocked, SIGTERM);
  sigdelset(&unblocked, SIGINT);
  signal(SIGPIPE, SIG_IGN);
}

bool is_ending() {
  sigset_t pending;  // ppoll() does not let one through when the socket can be read already
  sigpending(&pending);
  return ended != 0 || sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1;
}

bool wait(int socket, int milliseconds) {
  pollfd wanted{socket, POLLIN, 0};
  const timespec most{milliseconds / 1000, milliseconds % 1000 * 1000000L};
  return ppoll(&wanted, socket < 0 ? 0 : 1, &most, &unblocked) > 0;
}

}  // namespace cache_invalidate::bench
