// The channel that a message is published on.
#include "core/channel_template.hpp"

#include <gtest/gtest.h>

#include <string>

namespace cache_invalidate::core {
namespace {

Message message_of(const std::string& id, const char* channel = nullptr) {
  Message message;
  message.shape.name = "task";
  message.shape.has_channel = channel != nullptr;
  if (channel != nullptr) message.shape.channel = channel;
  message.operation = Operation::remove;
  message.id = id;
  return message;
}

std::string expanded(const std::string& text, const Message& message) {
  const auto parsed = ChannelTemplate::parse(text);
  if (!parsed.ok()) return "error: " + parsed.error().detail;
  return parsed.value().expand("app:", message, "standard");
}

TEST(ChannelTemplate, Expands) {
  EXPECT_EQ(expanded("changes", message_of("7")), "app:changes");
  EXPECT_EQ(expanded("{$resource}:{$id}", message_of("7")), "app:task:7");
  EXPECT_EQ(expanded("{$operation}/{$channel}", message_of("7")), "app:DELETE/standard");
  EXPECT_EQ(expanded("{$channel}", message_of("7", "mine")), "app:mine");
  EXPECT_EQ(expanded("{$channel}", message_of("7", "")), "app:");
  EXPECT_EQ(expanded("{{{$id}}}", message_of("")), "app:{}");
  EXPECT_EQ(expanded("{$id}", message_of("a*{$id}[\n")), "app:a*{$id}[\n") << "plain bytes";
}

TEST(ChannelTemplate, RefusesOtherPlaceholders) {
  for (const char* text : {"{id}", "{$user}", "{$id::text}", "{a.b}", "{$}", "{", "}", "{}", "{$id"}) {
    const auto parsed = ChannelTemplate::parse(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_NE(parsed.error().detail, "") << text;
    EXPECT_NE(parsed.error().hint.find("{$resource}"), std::string::npos);
  }
  EXPECT_EQ(expanded("{id}", message_of("")), "error: The placeholder {id} is not known here.");
  EXPECT_EQ(expanded("{$user}", message_of("")), "error: The placeholder {$user} is not known here.");
}

TEST(ChannelTemplate, IsEmptyWithoutText) {
  EXPECT_TRUE(ChannelTemplate().empty());
  EXPECT_FALSE(ChannelTemplate::parse("x").value().empty());
}

}  // namespace
}  // namespace cache_invalidate::core
