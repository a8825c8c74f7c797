// The C++ client library as others use it: the examples, here and as a project of their own beside an installed bebr.
#include <filesystem>

#include "index/dataset/vector_file.h"
#include "tests/integration/fixture.h"
#include "tests/integration/programs.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;

class ClientLibraryTest : public ServerTest {
 protected:
  // A .npy file of VectorOf(first) .. VectorOf(first + rows - 1).
  std::string WriteArray(const std::string& name, size_t first, size_t rows) {
    Matrix matrix{.rows = rows, .dims = kDims};
    for (size_t i = 0; i < rows; ++i) {
      const auto values = VectorOf(first + i);
      matrix.values.insert(matrix.values.end(), values.begin(), values.end());
    }
    EXPECT_TRUE(WriteNpy(Path(name), matrix).ok());
    return Path(name);
  }
  // Runs example_index_array; row 0 must be nearest to itself.
  void IndexArray(const std::string& program) {
    const Outcome outcome = RunProgram(
        program, {server_->address(), WriteFile("v1.safetensors", ModelFile(1)), WriteArray("docs.npy", 0, 1200)});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("1200 documents, synced to disk\n       0  1.0000\n"));
    EXPECT_EQ(client_->GetCollection("papers")->documents(), 1200u);
  }
};

TEST_F(ClientLibraryTest, TheExamplesIndexAndUpgrade) {
  Start();
  ASSERT_NO_FATAL_FAILURE(IndexArray("example_index_array"));
  const Outcome upgraded = RunProgram("example_upgrade", {server_->address(), WriteFile("v2.safetensors", ModelFile(2)),
                                                          WriteArray("docs_v2.npy", 5000, 1200)});
  ASSERT_EQ(upgraded.exit_code, 0) << upgraded.err;
  EXPECT_THAT(upgraded.out, HasSubstr("default version: v2\n"));
  EXPECT_EQ(client_->GetCollection("papers")->default_version(), "v2");
  EXPECT_EQ(client_->Search(MakeSearch("papers", VectorOf(5007), 1))->hits(0).id(), "7");
}

// The examples, copied out of the tree, find an installed bebr with find_package and do the same.
TEST_F(ClientLibraryTest, AnotherProjectLinksTheInstalledPackage) {
  namespace fs = std::filesystem;
  // What a machine cannot install or build ends this test, and no other.
  const auto cmake = [](const std::vector<std::string>& arguments) {
    const Outcome outcome = RunProgram(BEBR_CMAKE, arguments);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
    return outcome.exit_code == 0;
  };
  for (const char* component : {"dev", "client", "server"}) {
    ASSERT_TRUE(cmake({"--install", BEBR_PROGRAMS, "--prefix", Path("usr"), "--component", component}));
  }
  EXPECT_EQ(RunProgram(Path("usr/bin/bebr"), {"--help"}).exit_code, 0);
  EXPECT_TRUE(fs::exists(Path("usr/share/bebr/proto/bebr/v1/search.proto")));
  fs::create_directory(Path("client"));
  fs::copy(BEBR_SOURCES "/client/examples", Path("client/examples"));
  const std::string flags = std::string("-DCMAKE_CXX_FLAGS=") + BEBR_CONSUMER_FLAGS;
  const std::string launcher = std::string("-DCMAKE_CXX_COMPILER_LAUNCHER=") + BEBR_CONSUMER_LAUNCHER;
  ASSERT_TRUE(cmake(
      {"-S", Path("client/examples"), "-B", Path("build"), "-DCMAKE_PREFIX_PATH=" + Path("usr"), flags, launcher}));
  ASSERT_TRUE(cmake({"--build", Path("build"), "--target", "example_index_array"}));
  Start();
  IndexArray(Path("build/example_index_array"));
}

}  // namespace
}  // namespace bebr::testing
