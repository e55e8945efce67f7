// The judge of the consistency checker, before made-up logs: each verdict, its limits, and what the figures
// count.
#include "../consistency/verdict.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "../consistency/tally.hpp"

namespace cache_invalidate::consistency {
namespace {

constexpr std::int64_t kId = 7;

// Version 10 was committed from 100 to 110, version 20 from 200 to 210, and there are others around.
class JudgeTest : public ::testing::Test {
 protected:
  JudgeTest() {
    rules_.window = 50;
    rules_.recovery = 30;
    rules_.guards[static_cast<int>(Protocol::plain)] = {true, 0};
    rules_.guards[static_cast<int>(Protocol::second)] = {true, 40};
  }

  void commit(std::int64_t version, Nanoseconds begin, Nanoseconds acknowledged, bool is_removal = false,
              std::int64_t id = kId) {
    history_.add({id, version, version, is_removal, false, {begin, acknowledged}});
  }
  void commit_two() {
    commit(20, 200, 210);
    commit(10, 100, 110);  // out of order: they come from many logs
    commit(15, 150, 160, false, kId - 1);
    commit(25, 250, 260, false, kId + 1);
    history_.seal();
  }

  Judgement read(std::int64_t version, Nanoseconds begin, Nanoseconds stored = 0,
                 Protocol protocol = Protocol::leased) const {
    return judge_read({protocol, kId, version, begin, begin + 1}, {stored}, history_, rules_);
  }
  Verdict verdict(std::int64_t version, Nanoseconds begin, Nanoseconds stored = 0,
                  Protocol protocol = Protocol::leased) const {
    return read(version, begin, stored, protocol).verdict;
  }
  Judgement key(std::int64_t version, Nanoseconds stored, Protocol protocol) const {
    return judge_key({protocol, kId, version, 1000, 1000}, {stored}, history_, rules_);
  }
  Verdict message(Said said, std::int64_t version, Nanoseconds arrival) const {
    return judge_message(said, kId, version, arrival, history_).verdict;
  }

  History history_;
  Rules rules_;
};

TEST_F(JudgeTest, FindsTheNewestFresh) {
  commit_two();
  EXPECT_EQ(verdict(20, 1000), Verdict::fresh);
  EXPECT_EQ(verdict(10, 150), Verdict::fresh);
}

TEST_F(JudgeTest, FindsNothingStaleBeforeTheAcknowledgement) {
  commit_two();
  EXPECT_EQ(verdict(10, 205), Verdict::fresh);
  EXPECT_EQ(verdict(10, 210), Verdict::fresh);
  EXPECT_EQ(verdict(10, 211), Verdict::stale_within);
  EXPECT_EQ(read(10, 211).age, 1);
}

TEST_F(JudgeTest, AllowsTheWindowAndNoMore) {
  commit_two();
  EXPECT_EQ(verdict(10, 260), Verdict::stale_within);
  EXPECT_EQ(verdict(10, 261), Verdict::stale_beyond);
  EXPECT_EQ(read(10, 261).by->version, 20);
}

TEST_F(JudgeTest, CountsAgeFromTheFirstThatWasMissed) {
  commit_two();
  EXPECT_EQ(read(0, 215).age, 105);
  EXPECT_EQ(verdict(0, 215), Verdict::stale_beyond);
  EXPECT_EQ(read(0, 215).by->version, 10);
}

TEST_F(JudgeTest, KnowsThatARowWasNotThereAtFirst) {
  commit_two();
  EXPECT_EQ(verdict(0, 50), Verdict::fresh);
  EXPECT_EQ(verdict(0, 111), Verdict::stale_within);
}

TEST_F(JudgeTest, FindsOutWhatWasNeverCommitted) {
  commit_two();
  EXPECT_EQ(verdict(11, 1000), Verdict::never_committed);
  EXPECT_EQ(verdict(15, 1000), Verdict::never_committed) << "of another row";
  EXPECT_EQ(verdict(21, 1000), Verdict::never_committed);
  EXPECT_TRUE(is_violation(Verdict::never_committed));
}

TEST_F(JudgeTest, FindsOutWhatWasSeenTooEarly) {
  commit_two();
  EXPECT_EQ(verdict(20, 199), Verdict::fresh) << "answered at 200";
  EXPECT_EQ(verdict(20, 198), Verdict::not_yet);
  EXPECT_TRUE(is_violation(Verdict::not_yet));
}

TEST_F(JudgeTest, TakesCommitsOfUnknownTimesAsTheyAre) {
  commit(10, 0, kNever);    // nobody noted it
  commit(20, 200, kNever);  // the connection was lost
  history_.seal();
  EXPECT_EQ(verdict(10, 5), Verdict::fresh);
  EXPECT_EQ(verdict(10, 1000), Verdict::fresh) << "nobody was told of 20";
  EXPECT_EQ(verdict(20, 150), Verdict::not_yet);
  EXPECT_EQ(key(10, 0, Protocol::leased).verdict, Verdict::stale_beyond) << "in the end it counts";
}

TEST_F(JudgeTest, KnowsRemovals) {
  commit(10, 100, 110);
  commit(20, 200, 210, true);
  commit(30, 300, 310);
  history_.seal();
  EXPECT_EQ(verdict(20, 250), Verdict::fresh) << "no row is a value too";
  EXPECT_EQ(verdict(10, 261), Verdict::stale_beyond);
  EXPECT_EQ(verdict(20, 361), Verdict::stale_beyond) << "it is there again";
}

TEST_F(JudgeTest, KnowsThatATransactionShowsItsLastVersionOnly) {
  history_.add({kId, 10, 1, false, false, {100, 110}});
  history_.add({kId, 11, 1, false, false, {100, 110}});
  history_.seal();
  EXPECT_EQ(verdict(10, 150), Verdict::never_committed);
  EXPECT_EQ(verdict(11, 150), Verdict::fresh);
  EXPECT_EQ(message(Said::change, 10, 150), Verdict::fresh)
      << "a removal names the row that the transaction itself had changed";
}

TEST_F(JudgeTest, ForgivesPlainReadersTheirRaces) {
  commit_two();
  EXPECT_EQ(verdict(10, 1000, 199, Protocol::plain), Verdict::stale_beyond) << "stored before the commit";
  EXPECT_EQ(verdict(10, 1000, 200, Protocol::plain), Verdict::stale_beyond);
  EXPECT_EQ(verdict(10, 1000, 201, Protocol::plain), Verdict::fill_race);
  EXPECT_EQ(verdict(10, 1000, kNever, Protocol::plain), Verdict::fill_race) << "nobody knows when";
  EXPECT_EQ(verdict(10, 240, 201, Protocol::plain), Verdict::stale_within);
}

TEST_F(JudgeTest, ForgivesNoRaceThatALaterDeleteHasEnded) {
  commit_two();
  EXPECT_EQ(verdict(0, 1000, 150, Protocol::plain), Verdict::stale_beyond)
      << "raced with 10, and 20 came after";
}

TEST_F(JudgeTest, ForgivesNobodyElse) {
  commit_two();
  EXPECT_EQ(verdict(10, 1000, 205, Protocol::leased), Verdict::stale_beyond);
  EXPECT_EQ(verdict(10, 1000, 205, Protocol::local), Verdict::stale_beyond);
  EXPECT_EQ(key(10, 205, Protocol::leased).verdict, Verdict::stale_beyond);
}

TEST_F(JudgeTest, ExpectsTheSecondDeleteToEndRaces) {
  commit_two();
  EXPECT_EQ(verdict(10, 300, 205, Protocol::second), Verdict::stale_within) << "until 210 + 50 + 40";
  EXPECT_EQ(verdict(10, 301, 205, Protocol::second), Verdict::stale_beyond);
  EXPECT_EQ(verdict(10, 301, 240, Protocol::second), Verdict::stale_beyond);
  EXPECT_EQ(verdict(10, 301, 241, Protocol::second), Verdict::fill_race) << "later than the second delete";
  EXPECT_EQ(verdict(10, 261, 199, Protocol::second), Verdict::stale_beyond)
      << "the first delete was to do it";
}

TEST_F(JudgeTest, ExcusesFaultsUntilTheyAreRecoveredFrom) {
  commit_two();
  rules_.faults = {{300, 400, "outage"}};
  EXPECT_EQ(verdict(10, 299), Verdict::stale_beyond);
  EXPECT_EQ(verdict(10, 300), Verdict::stale_in_fault);
  EXPECT_EQ(verdict(10, 430), Verdict::stale_in_fault);
  EXPECT_EQ(verdict(10, 431), Verdict::stale_beyond);
  EXPECT_EQ(rules_.fault_at(430)->name, "outage");
  EXPECT_EQ(rules_.fault_at(431), nullptr);
  EXPECT_EQ(verdict(11, 350), Verdict::never_committed) << "there is no excuse for that";
}

TEST_F(JudgeTest, ExcusesNothingInTheEnd) {
  commit_two();
  rules_.faults = {{0, 2000, "outage"}};
  EXPECT_EQ(key(20, 0, Protocol::leased).verdict, Verdict::fresh);
  EXPECT_EQ(key(10, 0, Protocol::leased).verdict, Verdict::stale_beyond);
  EXPECT_EQ(key(10, 0, Protocol::plain).verdict, Verdict::stale_beyond);
  EXPECT_EQ(key(10, 201, Protocol::plain).verdict, Verdict::fill_race);
  EXPECT_EQ(key(0, 201, Protocol::plain).verdict, Verdict::fill_race) << "20 was missed";
  EXPECT_EQ(key(0, 150, Protocol::plain).verdict, Verdict::stale_beyond);
  EXPECT_EQ(key(10, kNever, Protocol::second).verdict, Verdict::fill_race);
  EXPECT_EQ(key(10, 240, Protocol::second).verdict, Verdict::stale_beyond);
  EXPECT_EQ(key(12, 0, Protocol::plain).verdict, Verdict::never_committed);
}

TEST_F(JudgeTest, ExpectsRowsOfTheDatabaseToBeFresh) {
  commit_two();
  EXPECT_EQ(judge_row({Protocol::plain, kId, 10, 210, 220}, history_).verdict, Verdict::fresh);
  EXPECT_EQ(judge_row({Protocol::plain, kId, 10, 211, 220}, history_).verdict, Verdict::stale_beyond);
  EXPECT_EQ(judge_row({Protocol::plain, kId, 20, 190, 200}, history_).verdict, Verdict::fresh);
  EXPECT_EQ(judge_row({Protocol::plain, kId, 20, 190, 199}, history_).verdict, Verdict::not_yet);
}

TEST_F(JudgeTest, FindsPhantomMessages) {
  commit(10, 100, 110);
  commit(20, 200, 210, true);
  commit(30, 300, 310);
  history_.seal();
  EXPECT_EQ(message(Said::change, 10, 105), Verdict::fresh) << "others see it before who commits is told";
  EXPECT_EQ(message(Said::change, 10, 99), Verdict::not_yet);
  EXPECT_EQ(message(Said::change, 10, 5000), Verdict::fresh) << "late, or again";
  EXPECT_EQ(message(Said::change, 12, 5000), Verdict::never_committed);
  EXPECT_EQ(message(Said::removal, 10, 205), Verdict::fresh);
  EXPECT_EQ(message(Said::removal, 10, 199), Verdict::not_yet);
  EXPECT_EQ(message(Said::removal, 30, 5000), Verdict::never_committed) << "that was never removed";
  EXPECT_EQ(message(Said::wide, 0, 1), Verdict::fresh);
}

TEST_F(JudgeTest, ExpectsMessagesUnlessSomebodyWasAway) {
  const CommitTimes commit{100, 110};
  EXPECT_TRUE(must_be_announced(commit, {{0, 99}, {161, kNever}}, rules_));
  EXPECT_FALSE(must_be_announced(commit, {{0, 100}}, rules_));
  EXPECT_FALSE(must_be_announced(commit, {{160, 165}}, rules_));
  EXPECT_FALSE(must_be_announced({100, kNever}, {{100000, kNever}}, rules_))
      << "it may have been committed at any time";
  rules_.faults = {{155, 170, "outage"}, {195, 250, "another"}};
  EXPECT_EQ(rules_.deadline(commit), 280) << "the first is recovered from at 200, within the second";
  EXPECT_FALSE(must_be_announced(commit, {{280, kNever}}, rules_));
  EXPECT_TRUE(must_be_announced(commit, {{281, kNever}}, rules_));
}

TEST(CommitsTest, TakeTheBestOfWhatIsKnown) {
  Commits commits;
  commits.note(1, 200, kNever);
  commits.note(1, 100, 300);  // a log that is read later may be about earlier
  commits.note(1, 250, 260);
  commits.note(2, 500, kNever);
  EXPECT_EQ(commits.times(1).begin, 100);
  EXPECT_EQ(commits.times(1).acknowledged, 260);
  EXPECT_EQ(commits.times(2).acknowledged, kNever);
  EXPECT_EQ(commits.times(3).begin, 0);
}

TEST(TallyTest, CountsFreshReadsInItsPercentiles) {
  std::vector<Nanoseconds> ages{30, 10, 20};
  EXPECT_EQ(percentile(ages, 100, 0.5), 0);
  EXPECT_EQ(percentile(ages, 100, 0.97), 0);
  EXPECT_EQ(percentile(ages, 100, 0.98), 10);
  EXPECT_EQ(percentile(ages, 100, 0.99), 20);
  EXPECT_EQ(percentile(ages, 100, 0.999), 30);
  EXPECT_EQ(percentile(ages, 100, 1), 30);
  std::vector<Nanoseconds> none;
  EXPECT_EQ(percentile(none, 100, 1), 0);
  EXPECT_EQ(percentile(none, 0, 1), 0);
}

TEST(TallyTest, KeepsRacesOutOfTheAges) {
  Tallies tallies;
  tallies.at(Protocol::plain, "none").add({Verdict::fresh, 0, nullptr});
  tallies.at(Protocol::plain, "none").add({Verdict::stale_within, 5, nullptr});
  tallies.at(Protocol::plain, "outage").add({Verdict::fill_race, 500, nullptr});
  tallies.at(Protocol::leased, "outage").add({Verdict::stale_in_fault, 50, nullptr});
  EXPECT_EQ(tallies.of(Protocol::plain).reads, 3);
  EXPECT_EQ(tallies.of(Protocol::plain).ages, std::vector<Nanoseconds>{5});
  EXPECT_EQ(tallies.of("outage").count(Verdict::fill_race), 1);
  EXPECT_EQ(tallies.of("outage").ages, std::vector<Nanoseconds>{50});
  EXPECT_EQ(tallies.all().reads, 4);
}

TEST(TallyTest, ClaimsNoMoreNinesThanItHasSeen) {
  Ages ages;
  ages.add(Protocol::plain, 10, 500);
  ages.add(Protocol::plain, 10, 100);
  ages.add(Protocol::plain, 20, 100);
  EXPECT_EQ(ages.above(Protocol::plain, 99), 2);
  EXPECT_EQ(ages.above(Protocol::plain, 100), 1);
  EXPECT_EQ(ages.above(Protocol::plain, 500), 0);
  EXPECT_EQ(ages.above(Protocol::leased, 0), 0);
  EXPECT_DOUBLE_EQ(share(1, 1000), 0.999);
  EXPECT_DOUBLE_EQ(share(0, 1000), 0.997) << "none of a thousand: no more than 1 - 3/1000";
  EXPECT_DOUBLE_EQ(share(0, 2), 0);
  EXPECT_DOUBLE_EQ(share(0, 0), 0);
}

}  // namespace
}  // namespace cache_invalidate::consistency
