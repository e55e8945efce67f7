#include "capture/row_changes.hpp"

#include <algorithm>
#include <string>

#include "capture/foreign_lookup.hpp"
#include "core/expand.hpp"
#include "core/payload_values.hpp"
#include "pg/crash_point.hpp"
#include "pg/settings.hpp"

namespace cache_invalidate::capture {
namespace {

// Reused from row to row. Never destroyed: a jump may pass while it is in use.
struct Scratch {
  std::string text;
  std::string fields;
  std::string other;
};
Scratch& scratch() {
  static Scratch* instance = new Scratch();
  return *instance;
}

// The inputs of one side of a change, in memory of the current context.
struct Side {
  const core::Value* values = nullptr;
  const core::Value* earlier = nullptr;  // where rows that it points to were changed in this transaction: before that
};

class Noter {
 public:
  Noter(const CompiledRule& rule, core::ChangeSet& changes, int level) : rule_(rule), changes_(changes), level_(level) {}

  void row(const RowChange& change);
  std::uint32_t table(core::Operation operation);
  bool has_widened() const { return has_widened_; }

 private:
  bool counts(const RowChange& change) const;
  bool everything_is_widened() const;
  bool same_inputs(TupleTableSlot* a, TupleTableSlot* b) const;
  Side read(TupleTableSlot* row);
  void add_keys(const core::Value* values);
  void add_keys(const Side& side);
  void add_messages(core::Operation operation, const core::Value* before, const core::Value* after);
  void add_message(std::string_view id, core::Operation operation, std::string_view fields);
  void add_error(core::Operation operation, const char* message);
  void add_whole(std::size_t place, core::Source source);
  bool is_constant(std::size_t place) const;
  void widen_if_crowded(std::size_t place, core::Source source);

  const CompiledRule& rule_;
  core::ChangeSet& changes_;
  const int level_;
  const char* problem_ = nullptr;
  bool has_widened_ = false;
  std::uint32_t order_ = 0;
};

// Is it one that caches care for?
bool Noter::counts(const RowChange& change) const {
  if (change.operation != core::Operation::update) return true;
  const core::Rule& rule = rule_.rule;
  if (!rule.any_change) return any_changed(rule.significant.data(), rule.significant.size(), change.before, change.after);
  return rule.send_unchanged || row_changed(change.before, change.after);
}

bool Noter::everything_is_widened() const {
  if (!changes_.has_widened()) return false;
  const std::size_t templates = rule_.globs.size();
  for (std::size_t i = 0; i < templates; ++i) {
    if (!changes_.is_widened(rule_.first_source + static_cast<core::Source>(i))) return false;
  }
  return !rule_.sends_messages || changes_.is_widened(rule_.message_source());
}

bool Noter::same_inputs(TupleTableSlot* a, TupleTableSlot* b) const {
  for (const InputReader& reader : rule_.readers) {
    if (reader.path) {
      for (const AttrNumber number : reader.path->hops.front().step->from) {
        if (!same_image(number, a, b)) return false;
      }
    } else if (reader.column.number != InvalidAttrNumber && !same_image(reader.column.number, a, b)) {
      return false;
    }
  }
  return true;
}

Side Noter::read(TupleTableSlot* row) {
  const std::size_t count = rule_.readers.size();
  auto* values = static_cast<core::Value*>(palloc(sizeof(core::Value) * std::max<std::size_t>(count, 1) * (rule_.has_paths ? 2 : 1)));
  core::Value* earlier = values + count;
  bool differs = false;
  for (std::size_t i = 0; i < count; ++i) {
    const InputReader& reader = rule_.readers[i];
    const char* problem = nullptr;
    values[i] = core::Value();
    values[i].state = core::Value::State::unknown;
    if (reader.path) {
      differs = follow(*reader.path, row, values[i], earlier[i], &problem) || differs;
    } else if (reader.column.number != InvalidAttrNumber) {
      problem = read_column(reader.column, row, values[i]);
    }
    if (rule_.has_paths && !reader.path) earlier[i] = values[i];
    if (problem != nullptr) problem_ = problem;
  }
  return {values, differs ? earlier : nullptr};
}

bool Noter::is_constant(std::size_t place) const {
  return place < rule_.rule.keys.size() && rule_.rule.keys[place].size() == 1 && rule_.rule.keys[place].front().input < 0;
}

// All that template number `place` could give.
void Noter::add_whole(std::size_t place, core::Source source) {
  if (is_constant(place)) {
    changes_.add_key(rule_.scopes[place], rule_.rule.keys[place].front().literal, level_, source);
  } else {
    changes_.add_pattern(rule_.scopes[place], rule_.globs[place], level_, source);
  }
}

void Noter::widen_if_crowded(std::size_t place, core::Source source) {
  if (!changes_.is_crowded(source, static_cast<std::uint32_t>(settings::max_items_per_transaction))) return;
  add_whole(place, core::kNoSource);
  CACHE_INVALIDATE_CRASH_POINT("capture.widen", fails);
  changes_.widen(source, level_);
  CACHE_INVALIDATE_CRASH_POINT("capture.widened", fails);
}

void Noter::add_keys(const core::Value* values) {
  std::string& key = scratch().text;
  const std::size_t keys = rule_.rule.keys.size();
  for (std::size_t i = 0; i < rule_.globs.size(); ++i) {
    const core::Source source = rule_.first_source + static_cast<core::Source>(i);
    if (changes_.is_widened(source)) continue;
    const bool is_key = i < keys;
    const core::Expansion expansion =
        is_key ? core::expand(rule_.rule.keys[i], values, key) : core::expand_glob(rule_.rule.patterns[i - keys], values, key);
    if (expansion == core::Expansion::none) continue;
    has_widened_ = has_widened_ || expansion != core::Expansion::exact;
    if (is_key && expansion == core::Expansion::exact) {
      changes_.add_key(rule_.scopes[i], key, level_, source);
    } else {
      changes_.add_pattern(rule_.scopes[i], key, level_, source);
    }
    widen_if_crowded(i, source);
  }
}

void Noter::add_keys(const Side& side) {
  add_keys(side.values);
  if (side.earlier != nullptr) add_keys(side.earlier);
}

void Noter::add_message(std::string_view id, core::Operation operation, std::string_view fields) {
  const core::Source source = rule_.message_source();
  if (changes_.is_widened(source)) return;
  if (id.empty()) {
    // Without an id there is no record to fold by: each message speaks of the whole resource.
    changes_.add_change(rule_.shape, id, core::Operation::update, {}, level_, {false, source});
    return;
  }
  changes_.add_change(rule_.shape, id, operation, fields, level_, {core::is_exact_id(rule_.rule, id), source, order_});
  if (!changes_.is_crowded(source, static_cast<std::uint32_t>(settings::max_items_per_transaction))) return;
  changes_.add_change(rule_.shape, {}, core::Operation::update, {}, level_, {false});
  changes_.widen(source, level_);
}

// The record's message; a record whose id changed is one that went and one that came.
void Noter::add_messages(core::Operation operation, const core::Value* before, const core::Value* after) {
  Scratch& s = scratch();
  const core::BoundTemplate& id = rule_.rule.id;
  const auto expand_id = [&id](const core::Value* values, std::string& out) {
    if (id.empty() || core::expand(id, values, out) != core::Expansion::exact) out.clear();
  };
  const core::Value* newest = after != nullptr ? after : before;
  expand_id(newest, s.text);
  if (before != nullptr && after != nullptr && before != after && !id.empty()) {
    expand_id(before, s.other);
    if (s.other != s.text) {
      core::render_row(rule_.rule, before, s.fields);
      add_message(s.other, core::Operation::remove, s.fields);
      if (!s.other.empty()) operation = core::Operation::insert;
    }
  }
  core::render_row(rule_.rule, newest, s.fields);
  add_message(s.text, operation, s.fields);
}

void Noter::add_error(core::Operation operation, const char* message) {
  changes_.add_error({rule_.table, core::operation_name(operation), message, rule_.context_text}, level_);
}

void Noter::row(const RowChange& change) {
  if (everything_is_widened() || !counts(change)) return;
  order_ = change.after != nullptr ? made_by(change.after) : ended_by(change.before);
  if (rule_.has_paths) begin_look_ups();
  Side before;
  Side after;
  if (change.before != nullptr) before = read(change.before);
  if (change.after != nullptr) {
    const bool same = change.before != nullptr && same_inputs(change.before, change.after);
    after = same ? before : read(change.after);
  }
  if (!rule_.problem.empty()) add_error(change.operation, rule_.problem.c_str());
  if (problem_ != nullptr) add_error(change.operation, problem_);
  if (before.values != nullptr) add_keys(before);
  if (after.values != nullptr && after.values != before.values) add_keys(after);
  if (rule_.sends_messages && !changes_.is_widened(rule_.message_source())) {
    add_messages(change.operation, before.values, after.values);
  }
}

std::uint32_t Noter::table(core::Operation operation) {
  if (!rule_.problem.empty()) add_error(operation, rule_.problem.c_str());
  const std::uint32_t before = changes_.size();
  for (std::size_t i = 0; i < rule_.globs.size(); ++i) add_whole(i, core::kNoSource);
  if (rule_.sends_messages) changes_.add_change(rule_.shape, "", operation, "", level_);
  return changes_.size() - before;
}

}  // namespace

bool note_row(const CompiledRule& rule, const RowChange& change, core::ChangeSet& changes, int level) {
  Noter noter(rule, changes, level);
  noter.row(change);
  return noter.has_widened();
}

std::uint32_t note_table(const CompiledRule& rule, core::Operation operation, core::ChangeSet& changes, int level) {
  return Noter(rule, changes, level).table(operation);
}

}  // namespace cache_invalidate::capture
