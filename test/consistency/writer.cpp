#include "writer.hpp"

#include <cmath>

namespace cache_invalidate::consistency {

namespace {

constexpr Nanoseconds kRetry = 50 * kMillisecond;
constexpr std::int64_t kClientShift = 40, kOperationShift = 8;

std::string with_token(std::string statement, std::int64_t token) {
  return statement.replace(statement.find("%t"), 2, std::to_string(token));
}

std::string call(const char* function, std::initializer_list<std::int64_t> arguments) {
  std::string statement = std::string("SELECT ") + function + "(";
  for (const std::int64_t argument : arguments) statement += std::to_string(argument) + ", ";
  return statement + "%t)";
}

std::int64_t logarithmic(Random& random, double least, double most) {
  return static_cast<std::int64_t>(least * std::pow(most / least, random.unit()));
}

}  // namespace

Writer::Writer(Shared& shared, int number)
    : shared_(shared),
      number_(number),
      log_(shared.options.log, "writer" + std::to_string(number)),
      database_([&shared] { return shared.database(); }, [&shared] { return shared.is_over(); }) {}

void Writer::run() {
  while (!shared_.is_over()) {
    Random random(shared_.options.seed, static_cast<std::uint64_t>(number_),
                  static_cast<std::uint64_t>(++operation_));
    transaction_ = 0;
    if (!is_ready()) continue;
    if (random.chance(3000)) finish_others();
    if (random.chance(8000)) {
      burst(random);
    } else {
      const Work work = draw(random);
      perform(work, draw_manner(random), random);
    }
    shared_.pause(random.below(shared_.options.pause + 1));
  }
  finish_others();
  log_.flush();
}

bool Writer::is_ready() {
  if (generation_ != shared_.generation()) database_.close();
  if (database_.is_connected()) return true;
  generation_ = shared_.generation();
  if (database_.connect()) return true;
  shared_.pause(kRetry);
  return false;
}

// The next item of the window, which is this writer's alone.
void Writer::burst(Random& random) {
  const Work work{Kind::window, call("set_item", {shared_.position++}), 1};
  for (std::int64_t left = random.between(1, 3); left > 0; --left) {
    if (!perform(work, draw_manner(random), random) || shared_.is_over()) return;
    shared_.pause(random.below(2 * kMillisecond));
  }
}

// Anything but the window.
Writer::Work Writer::draw(Random& random) {
  const std::int64_t kind = random.below(1000);
  const std::int64_t churned = random.between(kChurnFirst, kChurnLast);
  const std::int64_t parted = random.between(kPartedFirst, kPartedLast);
  if (kind < 310) return {Kind::hot, call("set_item", {logarithmic(random, kHotFirst, kHotLast + 1)}), 1};
  if (kind < 450) return {Kind::churn, call("remove_item", {churned}), 0};
  if (kind < 590) return {Kind::churn, call("put_item", {churned}), 1};
  if (kind < 740) {
    const std::int64_t other = churned < kChurnLast ? churned + 1 : kChurnFirst;
    return {Kind::move, call("move_item", {churned, other}), 1};
  }
  if (kind < 800) return {Kind::partition, call("remove_parted", {parted}), 0};
  if (kind < 975) return {Kind::partition, call("put_parted", {parted, random.below(kParts)}), 1};
  if (kind < 985) {
    return {Kind::truncate, "SELECT clear_part('parted_" + std::to_string(random.below(kParts)) + "', %t)",
            0};
  }
  const std::int64_t rows = logarithmic(random, 100, 5000);
  const std::int64_t first = random.between(kBulkFirst, kBulkLast - rows + 1);
  return {Kind::bulk, call("set_items", {first, first + rows - 1}), static_cast<std::uint32_t>(rows)};
}

Writer::Manner Writer::draw_manner(Random& random) {
  const std::int64_t manner = random.below(100);
  if (manner < 40) return Manner::alone;
  if (manner < 75) return Manner::block;
  if (manner < 80) return Manner::savepoint;
  if (manner < 84) return Manner::nested;
  if (manner < 88) return Manner::exception;
  if (manner < 90) return Manner::undone;
  if (manner < 94) return Manner::rolled_back;
  return manner < 98 ? Manner::prepared : Manner::prepared_elsewhere;
}

bool Writer::run_all(std::initializer_list<std::string> statements) {
  for (const std::string& statement : statements) {
    const Database::State state = database_.run(statement.c_str());
    if (state == Database::State::done) continue;
    // A standby, or a server that is short of something: elsewhere or later.
    if (state == Database::State::failed && database_.error()[0] != '4' && database_.error() != "55P03")
      database_.close();
    if (state == Database::State::failed) database_.run("ROLLBACK");
    shared_.pause(kRetry);
    return false;
  }
  return true;
}

bool Writer::perform(const Work& work, Manner manner, Random& random) {
  const std::int64_t token =
      (static_cast<std::int64_t>(number_) << kClientShift) + (operation_ << kOperationShift) + ++transaction_;
  const std::string statement = with_token(work.statement, token);
  const std::string undo = "SELECT undo($undo$" + statement + "$undo$)";
  switch (manner) {
    case Manner::alone:
      return commit(work, token, statement.c_str());
    case Manner::block:
      return run_all({"BEGIN", statement}) && commit(work, token, "COMMIT");
    case Manner::savepoint:
      return run_all({"BEGIN", "SAVEPOINT a", statement, "ROLLBACK TO a", statement}) &&
             commit(work, token, "COMMIT");
    case Manner::nested:
      return run_all({"BEGIN", "SAVEPOINT a", statement, "SAVEPOINT b", statement, "ROLLBACK TO b",
                      "RELEASE a"}) &&
             commit(work, token, "COMMIT");
    case Manner::exception:
      return run_all({"BEGIN", undo, statement}) && commit(work, token, "COMMIT");
    case Manner::undone:
      return run_all({"BEGIN", undo}) && commit({work.kind, {}, 0}, token, "COMMIT");
    case Manner::rolled_back:
      return run_all({"BEGIN", statement, "ROLLBACK"});
    default:
      return run_all({"BEGIN", statement}) && commit_prepared(work, token, manner, random);
  }
}

bool Writer::commit(const Work& work, std::int64_t token, const char* statement) {
  const Nanoseconds begin = now();
  const Database::State state = database_.run(statement);
  note(work, token,
       state == Database::State::done   ? Outcome::done
       : state == Database::State::lost ? Outcome::unknown
                                        : Outcome::refused,
       begin);
  if (state == Database::State::done) return true;
  if (state == Database::State::failed) {
    if (database_.error()[0] != '4') database_.close();
    database_.run("ROLLBACK");
  }
  shared_.pause(kRetry);
  return false;
}

bool Writer::commit_prepared(const Work& work, std::int64_t token, Manner manner, Random& random) {
  const Prepared prepared{token, !random.chance(3000), work.kind, work.rows, kNever};
  const Nanoseconds rest = random.below(5 * kMillisecond);
  const Database::State state = database_.run(("PREPARE TRANSACTION '" + gid_of(token) + "'").c_str());
  if (state == Database::State::failed) {
    database_.run("ROLLBACK");
    return false;
  }
  if (state == Database::State::lost) {  // prepared or not
    shared_.add_prepared(prepared);
    return false;
  }
  if (manner == Manner::prepared_elsewhere) {
    shared_.add_prepared(prepared);
    return false;
  }
  shared_.pause(rest);
  finish(prepared);
  return database_.is_connected();
}

// If it is gone, an earlier attempt has ended it, or it was never prepared.
void Writer::finish(Prepared prepared) {
  const Nanoseconds begin = now();
  if (prepared.commits && prepared.begin == kNever) prepared.begin = begin;
  const std::string statement =
      (prepared.commits ? "COMMIT PREPARED '" : "ROLLBACK PREPARED '") + gid_of(prepared.token) + "'";
  const Database::State state = database_.run(statement.c_str());
  const Work work{prepared.kind, {}, prepared.rows};
  const bool is_gone = state == Database::State::failed && database_.error() == "42704";
  if (state != Database::State::done && !is_gone) return shared_.add_prepared(prepared);
  if (!prepared.commits) return;
  note(work, prepared.token, state == Database::State::done ? Outcome::done : Outcome::unknown,
       prepared.begin);
}

void Writer::finish_others() {
  const std::optional<Prepared> prepared = shared_.take_prepared();
  if (prepared && database_.is_connected()) {
    finish(*prepared);
  } else if (prepared) {
    shared_.add_prepared(*prepared);
  }
}

void Writer::note(const Work& work, std::int64_t token, Outcome outcome, Nanoseconds begin) {
  Record record;
  record.type = RecordType::commit;
  record.flag = static_cast<std::uint8_t>(outcome);
  record.kind = static_cast<std::uint8_t>(work.kind);
  record.count = work.rows;
  record.number = token;
  record.begin = begin;
  record.end = now();
  log_.add(record);
  if (outcome == Outcome::done) ++shared_.commits;
}

}  // namespace cache_invalidate::consistency
