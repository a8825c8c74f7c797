#include "index/dataset/vector_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>
#include <zlib.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/base/float16.h"
#include "index/dataset/json_row.h"

namespace bebr {
namespace {

using ::testing::HasSubstr;

// Files of one test, removed with it.
class VectorFileTest : public ::testing::Test {
 protected:
  VectorFileTest() {
    std::string name = (std::filesystem::temp_directory_path() / "bebr_vector_file_XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~VectorFileTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return (folder_ / name).string(); }
  std::string Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(Path(name), std::ios::binary) << bytes;
    return Path(name);
  }
  // The message of the INVALID_ARGUMENT that reading the file gives.
  static std::string Refusal(const std::string& path) {
    const absl::StatusOr<Matrix> matrix = ReadVectors(path);
    EXPECT_EQ(matrix.status().code(), absl::StatusCode::kInvalidArgument) << path << ": " << matrix.status();
    EXPECT_THAT(std::string(matrix.status().message()), HasSubstr(path.substr(0, path.find(".hdf5:"))));
    return std::string(matrix.status().message());
  }

 private:
  std::filesystem::path folder_;
};

Matrix RandomMatrix(size_t rows, size_t dims) {
  std::mt19937 random(rows * 1000 + dims);
  std::normal_distribution<float> normal;
  Matrix matrix{rows, dims, std::vector<float>(rows * dims)};
  for (float& value : matrix.values) value = normal(random);
  return matrix;
}

template <typename T>
std::string Bytes(const std::vector<T>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

std::string NpyHeader(const std::string& dictionary, char version = 1) {
  std::string header = std::string("\x93NUMPY", 6) + version + '\0';
  const auto length = static_cast<uint32_t>(dictionary.size());
  header += static_cast<char>(length & 255);
  header += static_cast<char>(length >> 8 & 255);
  if (version > 1) header += std::string{static_cast<char>(length >> 16 & 255), static_cast<char>(length >> 24)};
  return header + dictionary;
}

std::string Shape(const std::string& type, const std::string& shape) {
  return absl::StrCat("{'descr': '", type, "', 'fortran_order': False, 'shape': ", shape, ", }\n");
}

std::string Fvecs(const Matrix& matrix) {
  std::string bytes;
  for (size_t i = 0; i < matrix.rows; ++i) {
    const auto dims = static_cast<int32_t>(matrix.dims);
    bytes.append(reinterpret_cast<const char*>(&dims), 4);
    bytes.append(reinterpret_cast<const char*>(matrix.row(i)), matrix.dims * 4);
  }
  return bytes;
}

std::string IdxHeader(uint32_t rows, uint32_t height, uint32_t width) {
  std::string bytes("\0\0\x08\x03", 4);
  for (const uint32_t size : {rows, height, width}) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(size >> shift & 255);
  }
  return bytes;
}

TEST_F(VectorFileTest, NpyComesBackAsWritten) {
  for (const auto& [rows, dims] : std::vector<std::pair<size_t, size_t>>{{1, 1}, {3, 17}, {1000, 784}, {70000, 2}}) {
    const Matrix matrix = RandomMatrix(rows, dims);
    ASSERT_TRUE(WriteNpy(Path("a.npy"), matrix).ok());
    const absl::StatusOr<Matrix> read = ReadVectors(Path("a.npy"));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->rows, rows);
    EXPECT_EQ(read->dims, dims);
    EXPECT_EQ(read->values, matrix.values);
  }
}

TEST_F(VectorFileTest, NpyHeaderIsAlignedAsNumpyWants) {
  ASSERT_TRUE(WriteNpy(Path("a.npy"), RandomMatrix(2, 3)).ok());
  EXPECT_EQ(std::filesystem::file_size(Path("a.npy")), 128u + 2 * 3 * 4);
}

TEST_F(VectorFileTest, NpyReadsEveryTypeAndVersion) {
  const std::vector<float> values = {0.5f, -1.25f, 3.0f, 0.0f, 1024.0f, -0.125f};  // exact as float16 too
  std::vector<uint16_t> halves(values.size());
  FloatToHalf(values.data(), values.size(), halves.data());
  const std::vector<double> doubles(values.begin(), values.end());
  for (const char version : {1, 2, 3}) {
    for (const auto& [type, bytes] : std::vector<std::pair<std::string, std::string>>{
             {"<f2", Bytes(halves)}, {"<f4", Bytes(values)}, {"<f8", Bytes(doubles)}}) {
      const absl::StatusOr<Matrix> read =
          ReadVectors(Write("a.npy", NpyHeader(Shape(type, "(3, 2)"), version) + bytes));
      ASSERT_TRUE(read.ok()) << read.status();
      EXPECT_EQ(read->rows, 3u);
      EXPECT_EQ(read->values, values);
    }
  }
}

TEST_F(VectorFileTest, NpyOfPackedBitsIsOfSigns) {
  const std::string bytes = {'\x80', '\x01', '\xff', '\x00', '\x0f', '\x55'};
  const std::string path = Write("b.npy", NpyHeader(Shape("|u1", "(3, 2)")) + bytes);
  const absl::StatusOr<Matrix> read = ReadVectors(path + ":bits");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->rows, 3u);
  ASSERT_EQ(read->dims, 16u);
  for (size_t i = 0; i < 48; ++i) {
    const bool set = (static_cast<unsigned char>(bytes[i / 8]) >> (7 - i % 8) & 1) != 0;
    EXPECT_EQ(read->values[i], set ? 1.0f : -1.0f) << i;
  }
  EXPECT_THAT(std::string(ReadVectors(path).status().message()), HasSubstr("b.npy:bits\""));
  ASSERT_TRUE(WriteNpy(Path("f.npy"), RandomMatrix(2, 3)).ok());
  EXPECT_THAT(std::string(ReadVectors(Path("f.npy") + ":bits").status().message()), HasSubstr("of type uint8"));
}

TEST_F(VectorFileTest, ReadsInPiecesOfAnySize) {
  const Matrix matrix = RandomMatrix(100, 7);
  ASSERT_TRUE(WriteNpy(Path("a.npy"), matrix).ok());
  Write("a.fvecs", Fvecs(matrix));
  for (const char* name : {"a.npy", "a.fvecs"}) {
    for (const size_t piece : {1, 3, 100, 1000}) {
      std::unique_ptr<VectorFile> file = *VectorFile::Open(Path(name));
      ASSERT_EQ(file->rows(), 100u);
      std::vector<float> all;
      std::vector<float> some(piece * 7);
      for (;;) {
        const absl::StatusOr<size_t> got = file->Read(piece, some.data());
        ASSERT_TRUE(got.ok()) << got.status();
        if (*got == 0) break;
        all.insert(all.end(), some.begin(), some.begin() + static_cast<ptrdiff_t>(*got * 7));
      }
      EXPECT_EQ(all, matrix.values) << name << " by " << piece;
    }
  }
}

TEST_F(VectorFileTest, ALimitTakesTheFirstRows) {
  const Matrix matrix = RandomMatrix(20, 3);
  ASSERT_TRUE(WriteNpy(Path("a.npy"), matrix).ok());
  const Matrix first = *ReadVectors(Path("a.npy"), 5);
  EXPECT_EQ(first.rows, 5u);
  EXPECT_EQ(first.values, std::vector<float>(matrix.values.begin(), matrix.values.begin() + 15));
  EXPECT_EQ(ReadVectors(Path("a.npy"), 50)->rows, 20u);
}

TEST_F(VectorFileTest, RefusesDamagedNpy) {
  const std::string good = NpyHeader(Shape("<f4", "(3, 2)")) + std::string(24, '\0');
  EXPECT_THAT(Refusal(Write("empty.npy", "")), HasSubstr("magic"));
  EXPECT_THAT(Refusal(Write("text.npy", "these are no vectors")), HasSubstr("magic"));
  EXPECT_THAT(Refusal(Write("short.npy", good.substr(0, good.size() - 1))), HasSubstr("bytes"));
  EXPECT_THAT(Refusal(Write("long.npy", good + "x")), HasSubstr("bytes"));
  EXPECT_THAT(Refusal(Write("cut.npy", good.substr(0, 40))), HasSubstr("truncated"));
  EXPECT_THAT(Refusal(Write("version.npy", NpyHeader(Shape("<f4", "(3, 2)"), 9))), HasSubstr("version 9"));
  EXPECT_THAT(Refusal(Write("type.npy", NpyHeader(Shape("<i8", "(3, 2)")))), HasSubstr("<i8"));
  EXPECT_THAT(Refusal(Write("endian.npy", NpyHeader(Shape(">f4", "(3, 2)")))), HasSubstr(">f4"));
  EXPECT_THAT(Refusal(Write("one.npy", NpyHeader(Shape("<f4", "(6,)")))), HasSubstr("1 dimensions"));
  EXPECT_THAT(Refusal(Write("three.npy", NpyHeader(Shape("<f4", "(1, 2, 3)")))), HasSubstr("3 dimensions"));
  EXPECT_THAT(Refusal(Write("none.npy", NpyHeader(Shape("<f4", "(0, 2)")))), HasSubstr("no rows"));
  EXPECT_THAT(Refusal(Write("thin.npy", NpyHeader(Shape("<f4", "(2, 0)")))), HasSubstr("no values"));
  EXPECT_THAT(Refusal(Write("minus.npy", NpyHeader(Shape("<f4", "(-3, 2)")))), HasSubstr("shape"));
  EXPECT_THAT(Refusal(Write("huge.npy", NpyHeader(Shape("<f4", "(99999999999, 99999999999)")))), HasSubstr("limit"));
  EXPECT_THAT(Refusal(Write("large.npy", NpyHeader(Shape("<f4", "(4294967295, 65536)")))), HasSubstr("bytes"));
  EXPECT_THAT(Refusal(Write("overflow.npy", NpyHeader(Shape("<f4", "(99999999999999999999999, 2)")))),
              HasSubstr("shape"));
  EXPECT_THAT(Refusal(Write("order.npy", NpyHeader("{'descr': '<f4', 'fortran_order': True, 'shape': (3, 2), }\n"))),
              HasSubstr("Fortran"));
  EXPECT_THAT(Refusal(Write("bare.npy", NpyHeader("{}"))), HasSubstr("descr"));
}

TEST_F(VectorFileTest, NoCutOrFlippedByteOfANpyHeaderHarms) {
  const std::string good = NpyHeader(Shape("<f4", "(3, 2)")) + std::string(24, '\0');
  for (size_t cut = 0; cut < good.size(); ++cut) Refusal(Write("cut.npy", good.substr(0, cut)));
  for (size_t at = 0; at < good.size(); ++at) {
    for (const char value : {'\0', '\xff', '(', ')', '\'', '9'}) {
      std::string bad = good;
      bad[at] = value;
      const absl::StatusOr<Matrix> matrix = ReadVectors(Write("flip.npy", bad));
      if (matrix.ok()) {
        EXPECT_EQ(matrix->rows * matrix->dims, matrix->values.size());
      } else {
        EXPECT_EQ(matrix.status().code(), absl::StatusCode::kInvalidArgument) << matrix.status();
      }
    }
  }
}

TEST_F(VectorFileTest, RefusesNanAndInfinityWithTheirRow) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    Matrix matrix = RandomMatrix(50, 9);
    matrix.row(41)[8] = bad;
    ASSERT_TRUE(WriteNpy(Path("a.npy"), matrix).ok());
    for (const std::string& path : {Path("a.npy"), Write("a.fvecs", Fvecs(matrix))}) {
      EXPECT_THAT(Refusal(path), HasSubstr("row 41 "));
      EXPECT_THAT(Refusal(path), HasSubstr("column 8;"));
      EXPECT_TRUE(ReadVectors(path, 41).ok());  // the rows before it are sound
    }
  }
  const std::vector<double> doubles = {1.0, 1e300};
  EXPECT_THAT(Refusal(Write("far.npy", NpyHeader(Shape("<f8", "(2, 1)")) + Bytes(doubles))), HasSubstr("row 1 "));
}

TEST_F(VectorFileTest, RefusesDamagedFvecs) {
  const std::string good = Fvecs(RandomMatrix(5, 4));
  EXPECT_TRUE(ReadVectors(Write("good.fvecs", good)).ok());
  EXPECT_THAT(Refusal(Write("empty.fvecs", "")), HasSubstr("empty"));
  EXPECT_THAT(Refusal(Write("tiny.fvecs", "ab")), HasSubstr("truncated"));
  EXPECT_THAT(Refusal(Write("cut.fvecs", good.substr(0, good.size() - 1))), HasSubstr("multiple"));
  EXPECT_THAT(Refusal(Write("zero.fvecs", std::string(20, '\0'))), HasSubstr("claims 0"));
  EXPECT_THAT(Refusal(Write("minus.fvecs", std::string(20, '\xff'))), HasSubstr("claims -1"));
  EXPECT_THAT(Refusal(Write("huge.fvecs", std::string("\xff\xff\xff\x7f").append(16, '\0'))), HasSubstr("limit"));
  std::string other = good;
  other[3 * 20] = 5;
  EXPECT_THAT(Refusal(Write("other.fvecs", other)), HasSubstr("row 3 "));
}

TEST_F(VectorFileTest, JsonlReadsArraysAndObjects) {
  const absl::StatusOr<Matrix> matrix =
      ReadVectors(Write("a.jsonl",
                        "[1, 2.5, -3e-1]\n"
                        "{\"embedding\": [4, 5, 6], \"id\": \"x\", \"tags\": [7, [8]]}\r\n"
                        "{\"meta\": {\"values\": [9]}, \"values\": [0, 0, 1]}"));
  ASSERT_TRUE(matrix.ok()) << matrix.status();
  EXPECT_EQ(matrix->rows, 3u);
  EXPECT_EQ(matrix->values, (std::vector<float>{1, 2.5f, -0.3f, 4, 5, 6, 0, 0, 1}));
}

TEST(JsonRow, NullIsNoId) {
  std::vector<float> values;
  RowFields fields;
  EXPECT_EQ(ParseJsonRow(R"({"id": null, "embedding": [1, 2]})", &values, &fields, true),
            "\"id\" is null; an id is text or a whole number");
  EXPECT_EQ(ParseJsonRow(R"({"a": null, "embedding": [1, 2]})", &values, &fields, true), "");
}

TEST(JsonDocument, MetadataThatIsNotWantedMayBeAnything) {
  std::string id;
  Attributes attributes;
  const std::string line = R"({"_id": "x", "metadata": {"nested": {"a": 1}}})";
  EXPECT_THAT(ParseJsonDocument(line, &id, &attributes, /*with_attributes=*/true), HasSubstr("nested"));
  EXPECT_EQ(ParseJsonDocument(line, &id, &attributes, /*with_attributes=*/false), "");
  EXPECT_EQ(id, "x");
  EXPECT_TRUE(attributes.empty());
}

TEST_F(VectorFileTest, RefusesBadJsonlWithItsLine) {
  const std::string good = "[1, 2]\n";
  EXPECT_THAT(Refusal(Write("empty.jsonl", "")), HasSubstr("no rows"));
  EXPECT_THAT(Refusal(Write("blank.jsonl", good + "\n" + good)), HasSubstr("line 2 is empty"));
  EXPECT_THAT(Refusal(Write("broken.jsonl", good + "[1, 2")), HasSubstr("line 2: it is no JSON"));
  EXPECT_THAT(Refusal(Write("tail.jsonl", good + "[1, 2] 3")), HasSubstr("line 2: it is no JSON"));
  EXPECT_THAT(Refusal(Write("dims.jsonl", good + "[1, 2, 3]\n")), HasSubstr("line 2 has 3 values"));
  EXPECT_THAT(Refusal(Write("text.jsonl", good + "[1, \"2\"]\n")), HasSubstr("line 2: the embedding holds a string"));
  EXPECT_THAT(Refusal(Write("null.jsonl", good + "[1, null]\n")), HasSubstr("null"));
  EXPECT_THAT(Refusal(Write("nested.jsonl", good + "[1, [2]]\n")), HasSubstr("another array"));
  EXPECT_THAT(Refusal(Write("object.jsonl", good + "{\"id\": 3}\n")), HasSubstr("no array"));
  EXPECT_THAT(Refusal(Write("twice.jsonl", good + "{\"embedding\": [1, 2], \"values\": [1, 2]}\n")),
              HasSubstr("not both"));
  EXPECT_THAT(Refusal(Write("none.jsonl", "[]\n")), HasSubstr("empty"));
  EXPECT_THAT(Refusal(Write("nan.jsonl", good + "[NaN, 1]\n")), HasSubstr("no JSON"));
  EXPECT_THAT(Refusal(Write("far.jsonl", good + "[1e300, 1]\n")), HasSubstr("row 1 "));
  EXPECT_THAT(Refusal(Write("farther.jsonl", good + "[1e9999, 1]\n")), HasSubstr("line 2"));
  EXPECT_THAT(Refusal(Write("long.jsonl", std::string("[").append(5 << 20, ' ').append("1]\n"))),
              HasSubstr("line 1 has more than"));
  EXPECT_THAT(Refusal(Write("deep.jsonl", std::string("{\"a\": ").append(100000, '['))), HasSubstr("no JSON"));
}

class IdxTest : public VectorFileTest {
 protected:
  std::string WriteGz(const std::string& name, const std::string& bytes) const {
    gzFile file = gzopen(Path(name).c_str(), "wb");
    gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
    gzclose(file);
    return Path(name);
  }
  std::string ReadAll(const std::string& path) const {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

TEST_F(IdxTest, ReadsPlainAndCompressed) {
  const std::string images = IdxHeader(3, 2, 2) + std::string("\x00\x01\x02\x03\x7f\x80\xfe\xff\x09\x08\x07\x06", 12);
  const std::vector<float> expected = {0, 1, 2, 3, 127, 128, 254, 255, 9, 8, 7, 6};
  for (const std::string& path : {Write("images-idx3-ubyte", images), WriteGz("images-idx3-ubyte.gz", images)}) {
    const absl::StatusOr<Matrix> matrix = ReadVectors(path);
    ASSERT_TRUE(matrix.ok()) << matrix.status();
    EXPECT_EQ(matrix->rows, 3u);
    EXPECT_EQ(matrix->dims, 4u);
    EXPECT_EQ(matrix->values, expected);
    EXPECT_EQ(ReadVectors(path, 2)->rows, 2u);
  }
}

TEST_F(IdxTest, RefusesDamage) {
  const std::string images = IdxHeader(3, 2, 2) + std::string(12, 'x');
  EXPECT_THAT(Refusal(Write("empty-ubyte", "")), HasSubstr("truncated"));
  EXPECT_THAT(Refusal(Write("cut-ubyte", images.substr(0, images.size() - 1))),
              ::testing::AnyOf(HasSubstr("truncated"), HasSubstr("too few")));
  EXPECT_THAT(Refusal(Write("long-ubyte", images + "x")), HasSubstr("goes on"));
  EXPECT_THAT(Refusal(Write("magic-ubyte", std::string("PK").append(images))), HasSubstr("no IDX file"));
  EXPECT_THAT(Refusal(Write("labels-ubyte", std::string("\0\0\x08\x01\0\0\0\x02\x01\x02", 10))), HasSubstr("labels"));
  EXPECT_THAT(Refusal(Write("float-ubyte", std::string("\0\0\x0d\x03", 4) + images.substr(4))), HasSubstr("0x0d"));
  EXPECT_THAT(Refusal(Write("huge-ubyte", IdxHeader(0xFFFFFFFF, 255, 255))), HasSubstr("too few"));
  EXPECT_THAT(Refusal(Write("wide-ubyte", IdxHeader(1, 65536, 65536))), HasSubstr("limit"));
  EXPECT_THAT(Refusal(WriteGz("bomb-ubyte.gz", IdxHeader(0xFFFFFFFF, 255, 255))), HasSubstr("too few"));
}

TEST_F(IdxTest, NoCutOrFlippedByteOfACompressedFileGoesUnseen) {
  std::string images = IdxHeader(30, 4, 4);
  for (int i = 0; i < 30 * 16; ++i) images += static_cast<char>(i * 37);
  const Matrix good = *ReadVectors(WriteGz("good-ubyte.gz", images));
  const std::string packed = ReadAll(Path("good-ubyte.gz"));
  for (size_t cut = 0; cut < packed.size(); ++cut) Refusal(Write("cut-ubyte.gz", packed.substr(0, cut)));
  for (size_t at = 0; at < packed.size(); ++at) {
    std::string bad = packed;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    const absl::StatusOr<Matrix> matrix = ReadVectors(Write("flip-ubyte.gz", bad));
    // The gzip header's time and system bytes carry nothing; whatever is accepted must be the same images.
    if (matrix.ok()) {
      EXPECT_EQ(matrix->values, good.values) << "byte " << at;
    } else {
      EXPECT_EQ(matrix.status().code(), absl::StatusCode::kInvalidArgument) << matrix.status();
    }
  }
}

class Hdf5Test : public VectorFileTest {
 protected:
  // Writes `values` as a dataset of the given shape and stored type; `chunk` rows a compressed chunk, 0 for contiguous.
  static void WriteDataset(hid_t file, const char* name, std::vector<hsize_t> shape, hid_t type, hid_t memory_type,
                           const void* values, hsize_t chunk = 0) {
    const hid_t space = H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr);
    const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    if (chunk > 0) {
      std::vector<hsize_t> chunks = shape;
      chunks[0] = chunk;
      H5Pset_chunk(properties, static_cast<int>(chunks.size()), chunks.data());
      H5Pset_deflate(properties, 6);
    }
    const hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    ASSERT_GE(dataset, 0);
    if (values != nullptr) {
      ASSERT_GE(H5Dwrite(dataset, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), 0);
    }
    H5Dclose(dataset);
    H5Pclose(properties);
    H5Sclose(space);
  }
  hid_t Create(const std::string& name) const {
    return H5Fcreate(Path(name).c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  }
};

TEST_F(Hdf5Test, ReadsTrainAndNamedDatasets) {
  const Matrix train = RandomMatrix(100, 6);
  const Matrix test = RandomMatrix(10, 6);
  const hid_t file = Create("a.hdf5");
  WriteDataset(file, "train", {100, 6}, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, train.values.data(), 16);
  WriteDataset(file, "test", {10, 6}, H5T_IEEE_F64LE, H5T_NATIVE_FLOAT, test.values.data());
  H5Fclose(file);
  const absl::StatusOr<Matrix> read = ReadVectors(Path("a.hdf5"));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->values, train.values);
  EXPECT_EQ(ReadVectors(Path("a.hdf5:test"))->values, test.values);
  EXPECT_EQ(ReadVectors(Path("a.hdf5"), 7)->rows, 7u);
}

TEST_F(Hdf5Test, SaysWhatItsRowsAreComparedBy) {
  const Matrix train = RandomMatrix(10, 6);
  const auto written = [&](const char* distance, bool variable) {
    const hid_t file = Create("a.hdf5");
    WriteDataset(file, "train", {10, 6}, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, train.values.data());
    const hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, variable ? H5T_VARIABLE : strlen(distance));
    const hid_t attribute = H5Acreate2(file, "distance", type, space, H5P_DEFAULT, H5P_DEFAULT);
    EXPECT_GE(H5Awrite(attribute, type, variable ? static_cast<const void*>(&distance) : distance), 0);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
    H5Fclose(file);
    return (*VectorFile::Open(Path("a.hdf5")))->metric();
  };
  for (const bool variable : {false, true}) {
    EXPECT_EQ(written("euclidean", variable), Metric::kL2);
    EXPECT_EQ(written("angular", variable), Metric::kCosine);
    EXPECT_EQ(written("hamming", variable), std::nullopt);
  }
}

TEST_F(Hdf5Test, RefusesWhatIsNoSuchDataset) {
  const std::vector<float> values(12, 1.0f);
  const std::vector<int> integers(12, 1);
  std::vector<float> bad = values;
  bad[7] = std::numeric_limits<float>::quiet_NaN();
  const hid_t file = Create("a.hdf5");
  WriteDataset(file, "flat", {12}, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, values.data());
  WriteDataset(file, "int", {4, 3}, H5T_STD_I32LE, H5T_NATIVE_INT, integers.data());
  WriteDataset(file, "nan", {4, 3}, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, bad.data());
  WriteDataset(file, "hollow", {4000000000, 60000}, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, nullptr, 1);
  H5Gclose(H5Gcreate2(file, "group", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  H5Fclose(file);
  EXPECT_THAT(Refusal(Path("a.hdf5")), HasSubstr("no dataset 'train'"));
  EXPECT_THAT(Refusal(Path("a.hdf5:flat")), HasSubstr("two dimensions"));
  EXPECT_THAT(Refusal(Path("a.hdf5:int")), HasSubstr("not floating point"));
  EXPECT_THAT(Refusal(Path("a.hdf5:nan")), HasSubstr("row 2 "));
  EXPECT_THAT(Refusal(Path("a.hdf5:hollow")), HasSubstr("only 0 bytes are stored"));
  EXPECT_THAT(Refusal(Path("a.hdf5:group")), HasSubstr("no dataset"));
  EXPECT_THAT(Refusal(Write("text.hdf5", "these are no vectors")), HasSubstr("no HDF5 file"));
  std::filesystem::resize_file(Path("a.hdf5"), std::filesystem::file_size(Path("a.hdf5")) / 2);
  Refusal(Path("a.hdf5:nan"));
}

TEST_F(VectorFileTest, MissingFilesAreNotFound) {
  for (const char* name : {"a.npy", "a.fvecs", "a.jsonl", "a.hdf5", "a.hdf5:test", "a-ubyte", "a-ubyte.gz"}) {
    const absl::Status status = ReadVectors(Path(name)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("a"));
  }
}

TEST_F(VectorFileTest, RefusesFoldersAndUnknownEndings) {
  std::filesystem::create_directory(Path("folder.npy"));
  EXPECT_THAT(Refusal(Path("folder.npy")), HasSubstr("regular file"));
  EXPECT_THAT(Refusal(Write("a.csv", "1,2\n")), HasSubstr(".npy"));
  EXPECT_EQ(WriteNpy(Path("nowhere/a.npy"), RandomMatrix(1, 1)).code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace bebr
