// How long the scheduler of the operating system lets a worker run at a stretch.
#pragma once

namespace cache_invalidate::delivery {

// Asks for little: who takes his share of the processor in small pieces gets them sooner, so that a worker that wakes on a busy machine
// does not wait until each of those that compute all the time has had its turn. Linux 6.12 and later, and no filter of
// system calls; elsewhere nothing changes. Needs no right and takes no larger share. Worker only; throws std::bad_alloc.
void shorten_time_slice();

}  // namespace cache_invalidate::delivery
