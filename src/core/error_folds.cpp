#include "core/error_folds.hpp"

#include <algorithm>

namespace cache_invalidate::core {
namespace {

std::string identity_of(std::string_view context, std::string_view operation, std::string_view message) {
  std::string identity(context);
  identity.append(1, '\0').append(operation).append(1, '\0').append(message);
  return identity;
}

}  // namespace

void ErrorFolds::close(ErrorFold& fold) {
  open_.erase(identity_of(fold.context, fold.operation, fold.message));
  fold.open = false;
}

// What comes late may be older than the fold.
ErrorFold* ErrorFolds::find_open(const std::string& identity, std::int64_t time) {
  const auto known = open_.find(identity);
  if (known == open_.end()) return nullptr;
  ErrorFold& fold = *known->second;
  if (time < fold.began + kLifetime) return &fold;
  fold.open = false;
  open_.erase(known);
  return nullptr;
}

// What the log has already need not be known: the next one of its kind is a row again.
void ErrorFolds::make_room() {
  for (auto fold = folds_.begin(); fold != folds_.end();) {
    if (fold->count != 0) {
      ++fold;
      continue;
    }
    if (fold->open) close(*fold);
    fold = folds_.erase(fold);
  }
}

void ErrorFolds::add(const ErrorRecord& error, std::int64_t time, std::uint64_t position) {
  const std::string identity = identity_of(error.context, error.operation, error.message);
  ErrorFold* fold = find_open(identity, time);
  if (fold == nullptr) {
    if (folds_.size() >= kMost) make_room();
    if (folds_.size() >= kMost) return;
    folds_.push_back({std::string(error.table), std::string(error.operation), std::string(error.message), std::string(error.context)});
    fold = &folds_.back();
    fold->began = time;
    fold->position = position;
    try {
      open_.emplace(identity, std::prev(folds_.end()));
    } catch (...) {
      folds_.pop_back();  // nobody would ever count in it, and it would hold its position
      throw;
    }
    ++without_row_;
    ++held_;
  }
  if (fold->row != 0 && fold->count == 0) ++counted_;
  fold->first = fold->count == 0 ? time : std::min(fold->first, time);
  fold->last = fold->count == 0 ? time : std::max(fold->last, time);
  ++fold->count;
}

std::vector<ErrorFold*> ErrorFolds::due(bool counts, std::size_t most) {
  std::vector<ErrorFold*> found;
  for (ErrorFold& fold : folds_) {
    if (found.size() >= most) break;
    if (fold.count > 0 && (counts || fold.row == 0)) found.push_back(&fold);
  }
  return found;
}

void ErrorFolds::note_written(ErrorFold& fold, std::int64_t row) {
  --(fold.row == 0 ? without_row_ : counted_);
  // The row may be another than before: that one was removed.
  if (fold.row != row) fold.began = fold.first;
  fold.row = row;
  fold.count = 0;
  if (fold.position != 0) --held_;
  fold.position = 0;
}

void ErrorFolds::release() {
  for (ErrorFold& fold : folds_) fold.position = 0;
  held_ = 0;
}

void ErrorFolds::settle(std::int64_t now) {
  for (auto fold = folds_.begin(); fold != folds_.end();) {
    if (fold->open && now >= fold->began + kLifetime) close(*fold);
    fold = !fold->open && fold->count == 0 ? folds_.erase(fold) : std::next(fold);
  }
}

std::uint64_t ErrorFolds::oldest(std::uint64_t next) const {
  if (held_ == 0) return next;
  // They rise along the list.
  const auto has_one = [](const ErrorFold& fold) { return fold.position != 0; };
  return std::min(next, std::find_if(folds_.begin(), folds_.end(), has_one)->position);
}

}  // namespace cache_invalidate::core
