#include "core/change_set.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>
#include <stdexcept>
#include <utility>

namespace cache_invalidate::core {
namespace {
constexpr std::size_t kKeptBytes = 256 * 1024;
constexpr std::uint32_t kOwnerMask = 0x0FFFFFFF;
constexpr std::uint32_t kMostErrors = 100;
}  // namespace

void ChangeSet::enter(int level) {
  if (level <= 1 || (!marks_.empty() && marks_.back().level >= level)) return;
  marks_.push_back({level, items_.size(), undo_.size(), fields_.size()});
}

std::uint32_t ChangeSet::add(Kind kind, std::uint32_t owner, std::string_view bytes, int level, Source source, bool& inserted) {
  enter(level);
  if (source >= counts_.size()) counts_.resize(source + 1);
  crowd_.reserve(crowd_.size() + 1);
  const ByteSet::Added added = items_.add(tag_of(kind, owner), bytes);
  inserted = added.inserted;
  if (!inserted) {
    // What is wanted for itself stays, whatever becomes of the source that gave it first.
    if (source == kNoSource) uncount(states_[added.index]);
    return added.index;
  }
  try {
    states_.emplace_back();
  } catch (...) {
    items_.truncate(added.index);
    throw;
  }
  states_.back().source = source;
  if (source == kNoSource) return added.index;
  if (counts_[source]++ == 0 && std::find(crowd_.begin(), crowd_.end(), source) == crowd_.end()) crowd_.push_back(source);
  if (source != kErrorSource) ++counted_;
  return added.index;
}

void ChangeSet::uncount(State& state) {
  const Source source = state.source;
  state.source = kNoSource;
  if (source == kNoSource || counts_[source] == 0) return;
  --counts_[source];
  if (source != kErrorSource) --counted_;
}

// Forgets the items from `size` on as if they had never been added.
void ChangeSet::cut(std::uint32_t size) {
  for (std::size_t i = size; i < states_.size(); ++i) uncount(states_[i]);
  items_.truncate(size);
  states_.resize(size);
}

void ChangeSet::widen(Source source, int level) {
  widened_.push_back({source, level});
  if (source >= counts_.size()) return;
  counted_ -= counts_[source];
  counts_[source] = 0;
  if (marks_.empty()) drop(source);
}

// Forgets what the source gave, which will not be written: the rest is found faster in a small set. Without memory for
// that it stays for now.
void ChangeSet::drop(Source source) {
  try {
    ByteSet items;
    std::vector<State> states;
    for (std::uint32_t index = 0; index < items_.size(); ++index) {
      if (states_[index].source == source) continue;
      items.add(items_.tag(index), items_.bytes(index));
      states.push_back(states_[index]);
    }
    items_.swap(items);
    states_.swap(states);
  } catch (const std::bad_alloc&) {
  }
}

bool ChangeSet::is_widened(Source source) const {
  return std::any_of(widened_.begin(), widened_.end(), [source](const Widened& w) { return w.source == source; });
}

ChangeSet::Given ChangeSet::take_given(Source source) noexcept {
  const auto found = std::find_if(widened_.begin(), widened_.end(), [source](const Widened& w) { return w.source == source; });
  if (found != widened_.end()) {
    widened_.erase(found);
    return {1, true};
  }
  if (source >= counts_.size()) return {0, false};
  return {std::exchange(counts_[source], 0), false};
}

void ChangeSet::add_key(std::uint32_t scope, std::string_view key, int level, Source source) {
  bool inserted;
  add(Kind::key, scope, key, level, source, inserted);
}

void ChangeSet::add_pattern(std::uint32_t scope, std::string_view glob, int level, Source source) {
  bool inserted;
  add(Kind::pattern, scope, glob, level, source, inserted);
}

void ChangeSet::add_error(const ErrorRecord& error, int level) {
  if (kErrorSource < counts_.size() && counts_[kErrorSource] >= kMostErrors) return;
  bool inserted;
  add(Kind::error, 0, encode_error(error), level, kErrorSource, inserted);
}

void ChangeSet::add_probe(std::string_view probe, int level) {
  bool inserted;
  add(Kind::probe, 0, probe, level, kNoSource, inserted);
}

void ChangeSet::add_change(std::uint32_t shape, std::string_view id, Operation operation, std::string_view fields, int level,
                           const Circumstances& circumstances) {
  bool inserted;
  const std::uint32_t index = add(Kind::change, shape, id, level, circumstances.source, inserted);
  NetEffect effect = inserted ? NetEffect(operation, circumstances.exact, circumstances.order) : states_[index].effect;
  const bool is_last = inserted || effect.add(operation, circumstances.exact, circumstances.order);
  try {
    if (!inserted) save(index);
    if (is_last) set_fields(index, fields);
  } catch (...) {
    if (inserted) cut(index);
    throw;
  }
  states_[index].effect = effect;
}

// Keeps the state of an item of an outer level, once a level, before the innermost level changes it.
void ChangeSet::save(std::uint32_t index) {
  if (marks_.empty() || index >= marks_.back().items) return;
  State& state = states_[index];
  if (state.saved_level == marks_.back().level) return;
  undo_.push_back({index, state});
  state.saved_level = static_cast<std::int32_t>(marks_.back().level);
}

void ChangeSet::set_fields(std::uint32_t index, std::string_view fields) {
  const std::size_t own_start = marks_.empty() ? 0 : marks_.back().fields;
  const State& old = states_[index];
  if (fields.size() > old.fields_room || (old.fields_offset < own_start && !fields.empty())) {
    append_fields(index, fields);
    return;
  }
  if (!fields.empty()) std::memcpy(&fields_[old.fields_offset], fields.data(), fields.size());
  states_[index].fields_size = static_cast<std::uint32_t>(fields.size());
}

void ChangeSet::append_fields(std::uint32_t index, std::string_view fields) {
  if (fields_.size() + fields.size() > compact_at_) {
    compact();
    compact_at_ = kLeastCompacted + 2 * fields_.size() + states_.size() * sizeof(State);
  }
  if (fields_.size() + fields.size() > std::numeric_limits<std::uint32_t>::max()) {
    throw std::length_error("change set is full");
  }
  const auto offset = static_cast<std::uint32_t>(fields_.size());
  fields_.append(fields);
  State& state = states_[index];
  state.fields_offset = offset;
  state.fields_size = state.fields_room = static_cast<std::uint32_t>(fields.size());
}

// Squeezes out the fields that later ones replaced, so that a loop over one record cannot grow the set. Without
// memory for it they stay for now.
void ChangeSet::compact() {
  std::vector<State*> live;
  try {
    live.reserve(states_.size() + undo_.size());
  } catch (const std::bad_alloc&) {
    return;
  }
  const auto keep = [&live](State& state) {
    if (state.fields_size > 0) {
      live.push_back(&state);
    } else {
      state.fields_offset = state.fields_room = 0;
    }
  };
  for (State& state : states_) keep(state);
  for (Undo& undo : undo_) keep(undo.state);
  std::sort(live.begin(), live.end(), [](const State* a, const State* b) { return a->fields_offset < b->fields_offset; });
  std::size_t end = 0;
  auto mark = marks_.begin();
  const State* previous = nullptr;
  std::uint32_t previous_offset = 0;  // before it moved
  for (State* state : live) {
    for (; mark != marks_.end() && mark->fields <= state->fields_offset; ++mark) mark->fields = end;
    const std::uint32_t offset = state->fields_offset;
    if (previous != nullptr && previous_offset == offset) {
      // A state that was saved and not changed since.
      state->fields_offset = previous->fields_offset;
    } else {
      std::memmove(&fields_[end], &fields_[offset], state->fields_size);
      state->fields_offset = static_cast<std::uint32_t>(end);
      end += state->fields_size;
    }
    state->fields_room = state->fields_size;
    previous = state;
    previous_offset = offset;
  }
  for (; mark != marks_.end(); ++mark) mark->fields = end;
  fields_.resize(end);
}

void ChangeSet::rollback(int level) {
  while (!marks_.empty() && marks_.back().level >= level) {
    const Mark mark = marks_.back();
    marks_.pop_back();
    while (undo_.size() > mark.undo) {
      states_[undo_.back().index] = undo_.back().state;
      undo_.pop_back();
    }
    cut(mark.items);
    fields_.resize(mark.fields);
  }
  const auto gone = [level](const Widened& w) { return w.level >= level; };
  widened_.erase(std::remove_if(widened_.begin(), widened_.end(), gone), widened_.end());
}

void ChangeSet::release(int level) {
  for (Widened& widened : widened_) widened.level = std::min(widened.level, level - 1);
  if (marks_.empty() || marks_.back().level < level) return;
  const Mark mark = marks_.back();
  const bool parent_has_mark = marks_.size() > 1 && marks_[marks_.size() - 2].level == level - 1;
  if (level - 1 > 1 && !parent_has_mark) {
    marks_.back().level = level - 1;
    for (std::size_t i = mark.undo; i < undo_.size(); ++i) {
      states_[undo_[i].index].saved_level = static_cast<std::int32_t>(level - 1);
    }
    return;
  }
  marks_.pop_back();
  // The level above needs only the undo records of what it did not make itself and has not saved itself.
  const std::uint32_t own_items = marks_.empty() ? 0 : marks_.back().items;
  std::size_t kept = mark.undo;
  for (std::size_t i = mark.undo; i < undo_.size(); ++i) {
    const Undo undo = undo_[i];
    const bool needed = undo.index < own_items && undo.state.saved_level != level - 1;
    states_[undo.index].saved_level = needed ? static_cast<std::int32_t>(level - 1) : undo.state.saved_level;
    if (needed) undo_[kept++] = undo;
  }
  undo_.resize(kept);
}

std::size_t ChangeSet::memory() const {
  return items_.memory() + states_.size() * sizeof(State) + fields_.size() + undo_.size() * sizeof(Undo);
}

void ChangeSet::write(BatchWriter& out, std::uint32_t from) const {
  for (std::uint32_t index = from; index < items_.size(); ++index) {
    const std::uint32_t owner = items_.tag(index) & kOwnerMask;
    const State& state = states_[index];
    if (!widened_.empty() && state.source != kNoSource && is_widened(state.source)) continue;
    switch (static_cast<Kind>(items_.tag(index) >> 28)) {
      case Kind::key:
        out.key(owner, items_.bytes(index));
        break;
      case Kind::change: {
        if (state.effect.is_nothing()) break;
        out.message(owner, state.effect.operation(), items_.bytes(index),
                    std::string_view(fields_).substr(state.fields_offset, state.fields_size), state.effect.is_exact());
        break;
      }
      case Kind::error:
        out.error(items_.bytes(index));
        break;
      case Kind::pattern:
        out.pattern(owner, items_.bytes(index));
        break;
      case Kind::probe:
        out.probe(items_.bytes(index));
        break;
    }
  }
}

void ChangeSet::forget(std::uint32_t from) {
  if (from == 0) {
    clear_items();
    return;
  }
  items_.truncate(from);
  states_.resize(from);
  // Fields of outer items that this level changed stand behind the mark too; without any, it all goes.
  if (undo_.size() == marks_.back().undo) fields_.resize(marks_.back().fields);
}

void ChangeSet::clear() {
  clear_items();
  for (const Source source : crowd_) counts_[source] = 0;
  crowd_.clear();
  counted_ = 0;
  widened_.clear();
}

void ChangeSet::clear_items() {
  items_.clear();
  states_.clear();
  fields_.clear();
  undo_.clear();
  marks_.clear();
  compact_at_ = kLeastCompacted;
  if (fields_.capacity() > kKeptBytes) fields_.shrink_to_fit();
  if (states_.capacity() * sizeof(State) > kKeptBytes) states_.shrink_to_fit();
  if (undo_.capacity() * sizeof(Undo) > kKeptBytes) undo_.shrink_to_fit();
}

}  // namespace cache_invalidate::core
