// Layout files of a shard. The first byte says how the rest is one: its whole bytes, what its parts hold, or changes of
// what is written of a shard with all kinds of rows, three bytes each. What is read must be whole: every row can be
// read, found, replaced and deleted, and is written again as it is.
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/shard/shard.h"
#include "tests/fuzz/fuzzer.h"

namespace bebr::fuzz {
namespace {

const ShardContents& Contents() {
  static const auto* const contents = new ShardContents{
      .spaces = {{0, *ParseCodeSpec("32x1")}, {1, *CodeSpec::Create(ParseCodeSpec("32x2")->bands(), 3)}},
      .versions = {{0, 0}, {1, 1}},
      .stores_floats = true,
      .attributes =
          std::make_shared<const AttributeSchema>(AttributeSchema{{"stored", {.storage = AttributeStorage::kStored}}})};
  return *contents;
}

// Replacements and deletions of documents, with what they borrow.
class Changes {
 public:
  void Replace(std::string_view id, uint32_t group) {
    attributes_.push_back({{"number", int64_t{7}},
                           {"text", absl::StrCat("text ", id.size() % 3)},
                           {"list", AttributeList{std::string("entry"), int64_t{3}}},
                           {"stored", std::string("stored")}});
    Mutation& mutation = mutations_.emplace_back();
    mutation.id = ids_.emplace_back(id);
    mutation.attributes = &attributes_.back();
    mutation.codes.push_back({0, 0, {0.5f, 1.0f, 0}, absl::MakeConstSpan(kWords).first(1)});
    mutation.codes.push_back({1, 1, {0.5f, 1.0f, group}, absl::MakeConstSpan(kWords)});
    mutation.marks.push_back(1);
  }
  void Delete(std::string_view id) {
    Mutation& mutation = mutations_.emplace_back();
    mutation.kind = MutationKind::kDelete;
    mutation.id = ids_.emplace_back(id);
  }
  void Apply(Shard& shard) { shard.Apply({absl::MakeSpan(mutations_)}); }

 private:
  static inline const std::vector<uint32_t> kWords = {0x01234567, 0x89abcdef};
  std::deque<std::string> ids_;
  std::deque<Attributes> attributes_;
  std::vector<Mutation> mutations_;
};

const std::string& Path() {
  static const auto* const scratch = new Scratch;
  static const auto* const path = new std::string(scratch->path() + "/layout");
  return *path;
}

std::string ReadFile() {
  std::FILE* in = std::fopen(Path().c_str(), "rb");
  FUZZ_REQUIRE(in != nullptr);
  std::string bytes(1 << 20, '\0');
  bytes.resize(std::fread(bytes.data(), 1, bytes.size(), in));
  std::fclose(in);
  return bytes;
}

void Save(const Shard& shard) {
  auto out = LayoutWriter::Create(Path());
  FUZZ_REQUIRE(out.ok());
  shard.Save(**out);
  FUZZ_REQUIRE((*out)->Finish().ok());
}

// What the parts of the file hold that is written of some documents.
const std::string& Written() {
  static const auto* const written = [] {
    Shard shard(0, nullptr, &Contents());
    Changes changes;
    for (const char* id : {"a", "b", "cc", "a", "ddd", "e", "f"}) changes.Replace(id, static_cast<uint32_t>(id[0]) % 3);
    changes.Delete("e");
    changes.Apply(shard);
    Save(shard);
    const std::string file = ReadFile();
    constexpr size_t kTitle = 16, kPart = 8;
    return new std::string(file.substr(kTitle + kPart, file.size() - kTitle - 2 * kPart));
  }();
  return *written;
}

void WriteParts(std::string_view bytes) {
  auto out = LayoutWriter::Create(Path());
  FUZZ_REQUIRE(out.ok());
  (*out)->PutArray(bytes.data(), bytes.size());
  FUZZ_REQUIRE((*out)->Finish().ok());
}

absl::Status Load(Shard& shard) {
  auto in = LayoutReader::Open(Path());
  FUZZ_REQUIRE(in.ok());
  return shard.LoadLayout(**in);
}

// All ids that a view has; looks at all that it has of them.
std::vector<std::string> ReadAll(const ShardView& view) {
  std::vector<std::string> ids;
  for (const SegmentView& segment : view.segments) {
    for (uint32_t row = 0; row < segment.rows; ++row) {
      if (segment.deleted == nullptr || !segment.deleted->test(row)) ids.emplace_back(segment.segment->id(row));
      for (const auto& [name, column] : *segment.attributes) {
        const AttributeType type = column->types[row];
        if (type == AttributeType::kString || type == AttributeType::kList) {
          view.dictionary->Text(static_cast<uint32_t>(column->values[row]));
        }
      }
      for (const SegmentView::SpaceView& space : segment.spaces) {
        if (!space.column->has(row)) continue;
        std::vector<uint32_t> words(space.column->code_words());
        const CodeFactors factors = space.Load(row, words.data());
        FUZZ_REQUIRE(factors.group < space.column->spec().groups());
        FUZZ_REQUIRE(space.column->row(space.column->place(row)) == row);
        FUZZ_REQUIRE(space.column->version(row) < kMaxVersions);
      }
    }
  }
  FUZZ_REQUIRE(ids.size() == view.documents);
  return ids;
}

// False if the file is refused.
bool Run() {
  auto shard = std::make_unique<Shard>(0, nullptr, &Contents());
  if (!Load(*shard).ok()) return false;
  std::vector<std::string> ids = ReadAll(*shard->MakeView());
  Save(*shard);
  shard = std::make_unique<Shard>(0, nullptr, &Contents());
  FUZZ_REQUIRE(Load(*shard).ok());
  FUZZ_REQUIRE(ReadAll(*shard->MakeView()) == ids);
  const std::vector<std::string_view> views(ids.begin(), ids.end());
  for (const RowInView& row : shard->Locate(*shard->MakeView(), views)) FUZZ_REQUIRE(row.segment != nullptr);
  Changes changes;
  for (size_t i = 0; i < ids.size(); i += 2) changes.Replace(ids[i], static_cast<uint32_t>(i) % 3);
  changes.Replace("another", 2);
  changes.Apply(*shard);
  FUZZ_REQUIRE(ReadAll(*shard->MakeView()).size() >= ids.size());
  Changes deletions;
  for (const std::string& id : ids) deletions.Delete(id);
  deletions.Delete("another");
  deletions.Apply(*shard);
  FUZZ_REQUIRE(ReadAll(*shard->MakeView()).empty());
  return true;
}

}  // namespace
}  // namespace bebr::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bebr;
  if (size == 0) return 0;
  const std::string_view bytes = fuzz::ToView(data + 1, size - 1);
  const int kind = data[0] % 3;  // of kept inputs the digits 0 to 2
  std::string parts = kind == 2 ? fuzz::Written() : std::string();
  switch (kind) {
    case 0: {
      std::FILE* out = std::fopen(fuzz::Path().c_str(), "wb");
      FUZZ_REQUIRE(out != nullptr && std::fwrite(bytes.data(), 1, bytes.size(), out) == bytes.size());
      FUZZ_REQUIRE(std::fclose(out) == 0);
      break;
    }
    case 1:
      fuzz::WriteParts(bytes);
      break;
    default:
      for (size_t i = 0; i + 3 <= bytes.size(); i += 3) {
        const size_t place = static_cast<uint8_t>(bytes[i]) * size_t{256} + static_cast<uint8_t>(bytes[i + 1]);
        parts[place % parts.size()] = bytes[i + 2];
      }
      fuzz::WriteParts(parts);
  }
  const bool read = fuzz::Run();
  FUZZ_REQUIRE(read || size != 1 || kind != 2);  // what was written is read
  return 0;
}
