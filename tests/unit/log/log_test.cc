#include "tests/unit/log/log_test.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace bebr {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(LogTest);

void LogTest::SetUp() {
  logs_ = engine().Connect();
  name_ = absl::StrCat("log of ", ::testing::UnitTest::GetInstance()->current_test_info()->name());
  ASSERT_TRUE(logs_->Drop(name_).ok());
  const absl::Status created = logs_->Create(name_);
  ASSERT_TRUE(created.ok()) << created;
  log_ = Open();
}

std::unique_ptr<Log> LogTest::Open() {
  auto log = engine().Connect()->Open(name_);
  EXPECT_TRUE(log.ok()) << log.status();
  return log.ok() ? *std::move(log) : nullptr;
}

LogPlace MustAppend(Log& log, LogWriter& writer, const std::vector<LogRecord>& records) {
  const auto place = log.Append(writer, writer.number + 1, records);
  EXPECT_TRUE(place.ok()) << place.status();
  if (!place.ok()) return {};
  ++writer.number;
  writer.place = *place;
  return *place;
}

std::vector<std::string> ReadAll(Log& log, LogPlace after, const std::vector<uint32_t>& shards, size_t max_bytes,
                                 LogPlace* end) {
  std::vector<std::string> all;
  for (;;) {
    const auto page = log.Read(after, shards, max_bytes);
    EXPECT_TRUE(page.ok()) << page.status();
    if (!page.ok()) return all;
    EXPECT_EQ(page->places.empty() ? after : page->places.back(), page->place);
    EXPECT_EQ(page->places.size(), page->place.position - after.position);
    for (const LogEntry& entry : page->entries) {
      EXPECT_GT(entry.position, after.position);
      EXPECT_LE(entry.position, page->place.position);
      all.push_back(absl::StrFormat("%d/%d:%s", entry.position, entry.shard, entry.bytes));
    }
    EXPECT_LE(page->place.position, page->head.position);
    if (end != nullptr) *end = page->place;
    if (page->place == after) return all;
    after = page->place;
  }
}

TEST_P(LogTest, ReadsWhatWasAppended) {
  auto writer = log_->BeginWriter("w");
  ASSERT_TRUE(writer.ok()) << writer.status();
  EXPECT_EQ(writer->number, 0u);
  EXPECT_THAT(ReadAll(*log_, {}, {0, 1, 2}), IsEmpty());
  const std::string zeros("\0\n\xff", 3);
  const LogPlace first = MustAppend(*log_, *writer, {{0, "a"}, {2, "b"}});
  const LogPlace second = MustAppend(*log_, *writer, {{1, zeros}});
  const LogPlace third = MustAppend(*log_, *writer, {{2, ""}});
  EXPECT_EQ(first.position, 1u);
  EXPECT_EQ(third.position, 3u);
  EXPECT_FALSE(first.append == second.append);
  LogPlace end;
  EXPECT_THAT(ReadAll(*Open(), {}, {0, 1, 2}, 1 << 20, &end), ElementsAre("1/0:a", "1/2:b", "2/1:" + zeros, "3/2:"));
  EXPECT_EQ(end, third);
  // A shard alone: the place goes on beyond what the shard was told.
  EXPECT_THAT(ReadAll(*log_, {}, {0}, 1 << 20, &end), ElementsAre("1/0:a"));
  EXPECT_EQ(end, third);
  EXPECT_THAT(ReadAll(*log_, first, {0, 2}), ElementsAre("3/2:"));
  EXPECT_THAT(ReadAll(*log_, third, {0, 1, 2}), IsEmpty());
  const auto state = log_->State();
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->head, third);
  EXPECT_EQ(state->trimmed, LogPlace());
}

TEST_P(LogTest, PagesAreWholeAppends) {
  LogWriter writer = *log_->BeginWriter("w");
  std::vector<std::string> expected;
  for (int i = 0; i < 20; ++i) {
    const std::string bytes(10 * (i % 4), static_cast<char>('a' + i));
    MustAppend(*log_, writer, {{0, bytes}, {1, bytes}});
    expected.push_back(absl::StrFormat("%d/0:%s", i + 1, bytes));
    expected.push_back(absl::StrFormat("%d/1:%s", i + 1, bytes));
  }
  for (const size_t max_bytes : {size_t{0}, size_t{25}, size_t{100}, size_t{1} << 20}) {
    EXPECT_EQ(ReadAll(*log_, {}, {0, 1}, max_bytes), expected) << max_bytes;
  }
  const auto page = log_->Read({}, std::vector<uint32_t>{0, 1}, 25);
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->place.position, 2u);  // 0 and 20 bytes; the next one has 40
  EXPECT_EQ(page->head.position, 20u);
}

TEST_P(LogTest, AnAppendThatIsSentAgainIsMadeOnce) {
  LogWriter writer = *log_->BeginWriter("w"), other = *log_->BeginWriter("other");
  const LogPlace first = MustAppend(*log_, writer, {{0, "a"}});
  MustAppend(*log_, other, {{0, "b"}});
  const std::vector<LogRecord> again = {{0, "a"}};
  EXPECT_EQ(*log_->Append(writer, 1, again), first);
  EXPECT_EQ(*Open()->Append(writer, 1, again), first);
  EXPECT_THAT(log_->Append(writer, 3, again).status().message(),
              HasSubstr("append 3 of writer \"w\" is not the next one"));
  EXPECT_EQ(log_->Append(writer, 3, again).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(log_->Append(writer, 0, again).status().code(), absl::StatusCode::kInvalidArgument);
  MustAppend(*log_, writer, {{0, "c"}});
  EXPECT_EQ(log_->Append(writer, 1, again).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(ReadAll(*log_, {}, {0}), ElementsAre("1/0:a", "2/0:b", "3/0:c"));
}

TEST_P(LogTest, ANewEpochEndsTheOldOne) {
  LogWriter old = *log_->BeginWriter("w");
  const LogPlace first = MustAppend(*log_, old, {{0, "a"}});
  const auto log = Open();
  LogWriter fresh = *log->BeginWriter("w");
  EXPECT_GT(fresh.epoch, old.epoch);
  EXPECT_EQ(fresh.number, 1u);
  EXPECT_EQ(fresh.place, first);
  const std::vector<LogRecord> records = {{0, "b"}};
  for (const uint64_t number : {1, 2}) {
    const absl::Status refused = log_->Append(old, number, records).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(refused.message(), HasSubstr("writer \"w\" has begun elsewhere"));
  }
  MustAppend(*log, fresh, records);
  EXPECT_EQ(log_->Append({.name = "never began", .epoch = 1, .number = 0, .place = {}}, 1, records).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(ReadAll(*log_, {}, {0}), ElementsAre("1/0:a", "2/0:b"));
}

TEST_P(LogTest, ManyWritersAtOnce) {
  constexpr int kWriters = 4, kAppends = 25;
  std::vector<std::thread> threads;
  std::vector<std::vector<LogPlace>> places(kWriters);
  for (int w = 0; w < kWriters; ++w) {
    threads.emplace_back([&, w] {
      const auto log = Open();
      LogWriter writer = *log->BeginWriter(absl::StrCat("w", w));
      for (int i = 0; i < kAppends; ++i) {
        const std::string bytes = absl::StrCat(w, ".", i);
        places[w].push_back(MustAppend(*log, writer, {{static_cast<uint32_t>(w), bytes}, {9, bytes}}));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::map<uint64_t, std::string> expected;  // by position
  for (int w = 0; w < kWriters; ++w) {
    for (int i = 0; i < kAppends; ++i) {
      EXPECT_TRUE(i == 0 || places[w][i].position > places[w][i - 1].position);
      EXPECT_TRUE(expected.emplace(places[w][i].position, absl::StrCat(w, ".", i)).second);
    }
  }
  std::vector<std::string> lines;
  for (const auto& [position, bytes] : expected) lines.push_back(absl::StrFormat("%d/9:%s", position, bytes));
  EXPECT_EQ(expected.rbegin()->first, uint64_t{kWriters * kAppends});
  EXPECT_EQ(ReadAll(*log_, {}, {9}, 100), lines);
}

TEST_P(LogTest, AFollowerSeesEveryAppendOnce) {
  constexpr int kAppends = 60;
  std::vector<std::string> seen;
  std::thread follower([&] {
    const auto log = Open();
    LogPlace place;
    const SteadyTime deadline = SteadyNow() + absl::Seconds(60);
    while (seen.size() < kAppends && SteadyNow() < deadline) {
      ASSERT_TRUE(log->WaitBeyond(place.position, deadline).ok());
      const auto page = log->Read(place, std::vector<uint32_t>{0}, 40);
      ASSERT_TRUE(page.ok()) << page.status();
      for (const LogEntry& entry : page->entries) seen.push_back(entry.bytes);
      place = page->place;
    }
  });
  LogWriter writer = *log_->BeginWriter("w");
  std::vector<std::string> expected;
  for (int i = 0; i < kAppends; ++i) {
    expected.push_back(absl::StrCat("bytes ", i));
    MustAppend(*log_, writer, {{0, expected.back()}, {1, "for others"}});
  }
  follower.join();
  EXPECT_EQ(seen, expected);
}

TEST_P(LogTest, WaitingEndsAtTheDeadline) {
  LogWriter writer = *log_->BeginWriter("w");
  EXPECT_EQ(log_->WaitBeyond(0, SteadyNow() + absl::Milliseconds(30))->position, 0u);
  const LogPlace place = MustAppend(*log_, writer, {{0, "a"}});
  EXPECT_EQ(*log_->WaitBeyond(0, absl::InfiniteDuration()), place);
  EXPECT_EQ(*log_->WaitBeyond(1, SteadyNow()), place);
}

TEST_P(LogTest, WhatIsTrimmedIsToldOf) {
  LogWriter writer = *log_->BeginWriter("w");
  std::vector<LogPlace> places = {{}};
  for (int i = 0; i < 40; ++i) places.push_back(MustAppend(*log_, writer, {{0, std::string(100, 'x')}}));
  const auto before = log_->Size();
  ASSERT_TRUE(before.ok()) << before.status();
  EXPECT_GE(before->bytes, 4000u);
  EXPECT_GT(before->oldest, 0u);
  // Less than the oldest part is kept.
  EXPECT_EQ(log_->Trim(before->oldest - 1)->position, 0u);
  EXPECT_EQ(*log_->Trim(before->oldest), places[before->oldest]);
  EXPECT_GT(log_->Size()->oldest, before->oldest);
  EXPECT_LT(log_->Size()->bytes, before->bytes);
  const auto trimmed = log_->Trim(25);
  ASSERT_TRUE(trimmed.ok()) << trimmed.status();
  EXPECT_LE(trimmed->position, 25u);
  EXPECT_GT(trimmed->position, 0u);  // the engine's parts are small enough
  EXPECT_EQ(*trimmed, places[trimmed->position]);
  EXPECT_EQ(log_->State()->trimmed, *trimmed);
  const auto gone = log_->Read(places[trimmed->position - 1], std::vector<uint32_t>{0}, 1 << 20);
  EXPECT_EQ(gone.status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(gone.status().message(), HasSubstr("must be copied anew"));
  EXPECT_EQ(ReadAll(*log_, *trimmed, {0}).size(), 40 - trimmed->position);
  EXPECT_EQ(ReadAll(*log_, places[30], {0}).size(), 10u);
  // Less than was trimmed already.
  EXPECT_EQ(*log_->Trim(1), *trimmed);
  EXPECT_LE(log_->Trim(1000)->position, 40u);
  EXPECT_EQ(MustAppend(*log_, writer, {{0, "y"}}).position, 41u);
  EXPECT_EQ(*log_->Append(writer, 41, std::vector<LogRecord>{{0, "y"}}), writer.place);
  EXPECT_THAT(ReadAll(*log_, places[40], {0}), ElementsAre("41/0:y"));
  EXPECT_EQ(log_->Read({.position = log_->State()->trimmed.position, .append = {1, 2}}, std::vector<uint32_t>{0}, 1)
                .status()
                .code(),
            absl::StatusCode::kDataLoss);
}

TEST_P(LogTest, LostHistoryIsNoticed) {
  LogWriter writer = *log_->BeginWriter("w");
  std::vector<LogPlace> places = {{}};
  for (int i = 0; i < 10; ++i) places.push_back(MustAppend(*log_, writer, {{0, "x"}}));
  engine().LoseBeyond(name_, 7);
  const auto read = [&](const LogPlace& after) {
    return log_->Read(after, std::vector<uint32_t>{0}, 1 << 20).status();
  };
  for (const int position : {8, 9, 10}) {
    EXPECT_EQ(read(places[position]).code(), absl::StatusCode::kDataLoss) << position;
    EXPECT_THAT(read(places[position]).message(), AllOf(HasSubstr("has lost appends"), HasSubstr("it ends at 7")));
  }
  EXPECT_TRUE(read(places[7]).ok());
  EXPECT_EQ(ReadAll(*log_, places[5], {0}).size(), 2u);
  // Also when others have taken their positions.
  LogWriter after = *log_->BeginWriter("w");
  EXPECT_EQ(after.number, 7u);
  for (int i = 0; i < 3; ++i) MustAppend(*log_, after, {{0, "y"}});
  for (const int position : {8, 9, 10}) {
    EXPECT_EQ(read(places[position]).code(), absl::StatusCode::kDataLoss) << position;
    EXPECT_THAT(read(places[position]).message(), HasSubstr("there now"));
  }
  EXPECT_EQ(ReadAll(*log_, places[7], {0}).size(), 3u);
}

TEST_P(LogTest, EveryLogHasAnIdentity) {
  const uint64_t identity = log_->State()->identity;
  EXPECT_NE(identity, 0u);
  LogWriter writer = *log_->BeginWriter("w");
  for (int i = 0; i < 3; ++i) MustAppend(*log_, writer, {{0, "x"}});
  engine().LoseBeyond(name_, 2);
  EXPECT_EQ((*engine().Connect()->Open(name_))->State()->identity, identity);
  ASSERT_TRUE(logs_->Create(name_ + " other").ok());
  EXPECT_NE((*logs_->Open(name_ + " other"))->State()->identity, identity);
  // One that is made again is another one.
  ASSERT_TRUE(logs_->Drop(name_).ok());
  ASSERT_TRUE(logs_->Create(name_).ok());
  EXPECT_NE((*logs_->Open(name_))->State()->identity, identity);
}

TEST_P(LogTest, WrongArgumentsAreRefused) {
  LogWriter writer = *log_->BeginWriter("w");
  const auto append = [&](const std::vector<LogRecord>& records) {
    const absl::Status status = log_->Append(writer, 1, records).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  };
  EXPECT_THAT(append({}), HasSubstr("one record at least"));
  EXPECT_THAT(append({{1, "a"}, {2, "b"}, {1, "c"}}), HasSubstr("two records for shard 1"));
  EXPECT_THAT(append({{kMaxLogShards, "a"}}), HasSubstr("the limit is 65535"));
  const std::string large(kMaxAppendBytes + 1, 'x');
  EXPECT_THAT(append({{0, large}}), HasSubstr("the limit is 134217728"));
  for (const std::string& name :
       {std::string(), std::string("a\0b", 3), std::string(256, 'a'), std::string("\xc3\xa9")}) {
    EXPECT_EQ(log_->BeginWriter(name).status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(logs_->Create(name).code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(log_->State()->head.position, 0u);
}

TEST_P(LogTest, LogsAreMadeAndDropped) {
  const std::string quoted = name_ + " '\"; $1 %s \\";
  ASSERT_TRUE(logs_->Create(quoted).ok());
  ASSERT_TRUE(logs_->Create(quoted).ok());  // it is there
  EXPECT_THAT(*logs_->Names(), ::testing::IsSupersetOf({name_, quoted}));
  const auto other = *logs_->Open(quoted);
  LogWriter writer = *other->BeginWriter(quoted);
  MustAppend(*other, writer, {{0, "a"}});
  ASSERT_TRUE(logs_->Create(quoted).ok());
  EXPECT_EQ(other->State()->head.position, 1u);
  EXPECT_EQ(log_->State()->head.position, 0u);
  ASSERT_TRUE(logs_->Drop(quoted).ok());
  ASSERT_TRUE(logs_->Drop(quoted).ok());
  EXPECT_EQ(logs_->Open(quoted).status().code(), absl::StatusCode::kNotFound);
  // What was opened does not take the next log of this name for its own.
  ASSERT_TRUE(logs_->Create(quoted).ok());
  const std::vector<LogRecord> records = {{0, "b"}};
  EXPECT_EQ(other->Append(writer, 2, records).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(other->BeginWriter("new").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(other->Read(writer.place, std::vector<uint32_t>{0}, 1).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(other->State().status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(other->WaitBeyond(0, SteadyNow()).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(logs_->Drop(quoted).ok());
}

}  // namespace bebr
