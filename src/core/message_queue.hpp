// MessageQueue: messages that wait for their turn, in commit order per record; equal ones of different transactions fold
// and the newest wins. What a transaction says in several parts of one record folds into its net effect.
//
// Who has committed may hand over behind another one that saw it commit. What comes late so is put in its place, by the time at
// which its transaction began to commit.
//
// The parts of a transaction come with a scan of the journal, in any order, and what became of a record is known when
// all have come: sort_by_time() says that they have. Whoever takes a message earlier, because too many wait, takes the
// effect of the parts so far, with their time, and those to come say what followed: more than the net effect, never less.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/byte_set.hpp"
#include "core/payload.hpp"

namespace cache_invalidate::core {

class MessageQueue {
 public:
  struct Waiting {
    Message message;
    std::uint64_t position = 0;  // in the worker's order of consumption
    std::uint64_t oldest = 0;    // nothing that is said from this one on has a smaller position
    bool folded = false;         // a newer one says the same, or the net effect
    bool is_part = false;        // other parts of its transaction may speak of the same record
    bool exact = true;           // in a part: the id names one record
    std::uint32_t shape_number = 0;  // in a part: tells tables apart whose shapes are equal
    std::int64_t latest = 0;         // no message of this one and those before it is of a later time
  };

  // Throws std::bad_alloc; what waited before still does. Positions never fall.
  void add(const Shape& shape, Operation operation, std::string_view id, std::string_view fields, BatchHeader origin,
           std::uint64_t position);

  // A part of a transaction has come, perhaps without a message.
  void note_part(BatchHeader part);
  // A message of a part. It folds with those of its transaction only, until all parts have come.
  void add_part(Message message, std::uint32_t shape_number, bool exact, std::uint64_t position);
  // Folds the parts that have come so far, if that may be worth while.
  void fold_early();

  // The oldest message, skipping folded ones; nullptr when there is none.
  const Waiting* front();
  // Takes it.
  Waiting pop();

  // Forgets all.
  void clear();

  bool empty() { return front() == nullptr; }
  std::size_t size() const { return queue_.size() - head_; }
  // Of what its messages say. What left or folded takes none.
  std::size_t bytes() const { return bytes_; }
  std::size_t folded() const { return folded_; }

  // Orders by the time at which the transactions began to commit: after a scan of the journal, whose order is
  // where rows happened to be put. All parts have come: they fold, and get the time of the last part. The positions are
  // out of order then: ask `oldest` for what is still unsent.
  void sort_by_time();
  // Puts what came late in its place, if anything did. The positions may be out of order then.
  void put_in_order();

 private:
  static constexpr std::size_t kLeastTrimmed = 1024;
  static constexpr std::size_t kFarthestLook = 1000;

  void append(Waiting waiting);
  bool comes_late(const Waiting& waiting) const;

  void enlist(std::size_t place);
  void release(Waiting& waiting);
  void reset_if_drained();
  void trim();
  void drop_done();
  void reindex();
  void arrange();
  void fold_parts();
  void settle_parts();

  std::vector<Waiting> queue_;
  std::size_t head_ = 0;
  std::size_t done_ = 0;                 // of queue_: sent, or folded
  ByteSet identities_;                   // encoded shape, operation, id, fields
  std::vector<std::size_t> newest_;      // of each identity: its place in queue_
  std::string scratch_;
  bool is_disordered_ = false;           // one of a record waits behind a newer one of it
  std::size_t folded_ = 0;
  std::size_t bytes_ = 0;
  std::unordered_map<std::uint64_t, std::int64_t> part_times_;  // of the last part of each transaction
  std::size_t new_parts_ = 0;            // messages of parts since they were folded
};

}  // namespace cache_invalidate::core
