#include "index/binarizer/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_format.h"
#include "index/binarizer/binarizer.h"
#include "index/binarizer/safetensors.h"
#include "tests/unit/binarizer/random_model.h"

namespace bebr {
namespace {

using ::testing::HasSubstr;

// The file with `change` applied to its contents and the checksum made right again.
template <typename Change>
std::string Changed(const Model& model, Change change) {
  SafetensorsFile file = *SafetensorsFile::Parse(*SerializeModel(model));
  change(file);
  file.metadata()["checksum"] = absl::StrFormat("%08x", file.Checksum("checksum"));
  return file.Serialize();
}

std::string ParseError(const std::string& file) {
  const auto parsed = Binarizer::Parse(file);
  EXPECT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument) << parsed.status();
  return std::string(parsed.status().message());
}

TEST(ModelTest, RoundTripOfEveryForm) {
  for (const bool input_form : {false, true}) {
    for (const bool own_weight : {false, true}) {
      RandomModelOptions options;
      options.form = input_form ? ResidualForm::kInput : ResidualForm::kCode;
      if (input_form || own_weight) options.hidden = {12, 7};
      options.query_projection = own_weight;
      if (own_weight && !input_form) options.query_hidden = {9};
      options.own_residual_weight = own_weight;
      options.feedback = own_weight;
      Model model = RandomModel(options);
      if (input_form) model.row_length = 1.25f;
      const auto file = SerializeModel(model);
      ASSERT_TRUE(file.ok()) << file.status();
      uint32_t checksum = 0;
      const auto parsed = ParseModel(*file, &checksum);
      ASSERT_TRUE(parsed.ok()) << parsed.status();
      EXPECT_EQ(parsed->spec, model.spec);
      EXPECT_EQ(parsed->hidden, model.hidden);
      EXPECT_EQ(parsed->mean, model.mean);
      EXPECT_EQ(parsed->query.linear.weight, model.query.linear.weight);
      EXPECT_EQ(parsed->query_hidden, model.query_hidden);
      EXPECT_EQ(parsed->row_length, model.row_length);
      EXPECT_EQ(parsed->steps[1].feedback, model.steps[1].feedback);
      EXPECT_EQ(*SerializeModel(*parsed), *file);
      const auto binarizer = Binarizer::Parse(*file);
      ASSERT_TRUE(binarizer.ok());
      EXPECT_EQ((*binarizer)->checksum(), checksum);
      EXPECT_GT((*binarizer)->memory_bytes(), size_t{4} * model.spec.dims() * model.input_dims);
    }
  }
}

TEST(ModelTest, EveryFlippedByteIsNoticed) {
  RandomModelOptions options;
  options.shape = "8x1";
  options.input_dims = 3;
  options.query_levels = 2;
  const std::string file = *SerializeModel(RandomModel(options));
  const auto original = Binarizer::Parse(file);
  ASSERT_TRUE(original.ok());
  for (size_t i = 0; i < file.size(); ++i) {
    for (const char flip : {char{1}, char{64}}) {
      std::string damaged = file;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      EXPECT_FALSE(Binarizer::Parse(damaged).ok()) << "byte " << i << " of " << file.size();
    }
  }
}

TEST(ModelTest, NamesTheFieldOrTensor) {
  const Model model = RandomModel({});
  const auto with = [&](const char* key, const char* value) {
    return ParseError(Changed(model, [&](SafetensorsFile& file) { file.metadata()[key] = value; }));
  };
  EXPECT_THAT(with("format", "other"), HasSubstr("'other'"));
  EXPECT_THAT(with("format_version", "2"), HasSubstr("version '2'"));
  EXPECT_THAT(with("architecture", "x"), HasSubstr("architecture 'x'"));
  EXPECT_THAT(with("metric", "hamming"), HasSubstr("hamming"));
  EXPECT_THAT(with("input_dims", "8193"), HasSubstr("1..8192"));
  EXPECT_THAT(with("input_dims", "0"), HasSubstr("input_dims"));
  EXPECT_THAT(with("input_dims", "25"), HasSubstr("tensor 'mean' has shape [24]; expected [25]"));
  EXPECT_THAT(with("bands", "8x5"), HasSubstr("levels"));
  EXPECT_THAT(with("query_levels", "3"), HasSubstr("4..4"));
  EXPECT_THAT(with("hidden", "1,2,3,4,5"), HasSubstr("hidden"));
  EXPECT_THAT(with("hidden", "99999"), HasSubstr("hidden"));
  EXPECT_THAT(with("residual_form", "x"), HasSubstr("residual_form"));
  const auto changed = [&](auto change) { return ParseError(Changed(model, change)); };
  EXPECT_THAT(changed([](SafetensorsFile& file) { file.metadata()["row_length"] = "nan"; }), HasSubstr("row_length"));
  EXPECT_THAT(changed([](SafetensorsFile& file) { file.metadata().erase("trained"); }),
              HasSubstr("'trained' is missing"));
  EXPECT_THAT(changed([](SafetensorsFile& file) { file.tensors().erase("step2.gain"); }),
              HasSubstr("'step2.gain' is missing"));
  EXPECT_THAT(changed([](SafetensorsFile& file) {
                file.tensors()["more"] = {{1}, {0.0f}};
              }),
              HasSubstr("'more' does not belong"));
  EXPECT_THAT(changed([](SafetensorsFile& file) { file.tensors()["band_weights"].values[0] = -1.0f; }),
              HasSubstr("weight -1"));
  EXPECT_THAT(changed([](SafetensorsFile& file) {
                file.tensors()["project.weight"].shape = {24, 81};
              }),
              HasSubstr("project.weight"));
}

TEST(ModelTest, SerializeRefusesWhatParseWould) {
  Model model = RandomModel({});
  model.steps.pop_back();
  EXPECT_THAT(std::string(SerializeModel(model).status().message()), HasSubstr("2 steps; expected 3"));
  model = RandomModel({});
  model.project.linear.weight.pop_back();
  EXPECT_THAT(std::string(SerializeModel(model).status().message()), HasSubstr("project.weight"));
}

}  // namespace
}  // namespace bebr
