// The programs as scripts meet them: exit codes, what is printed where, and an import that says what it did.
#include <sys/resource.h>

#include <bit>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "index/base/file.h"
#include "index/dataset/vector_file.h"
#include "nlohmann/json.hpp"
#include "tests/integration/fixture.h"
#include "tests/integration/programs.h"
#include "tests/integration/tls_fixture.h"
#include "tests/support/until.h"

namespace bebr::testing {
namespace {

using namespace std::string_literals;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

class CommandLineTest : public ServerTest {
 protected:
  // A file of one JSON object a line: ids "d<first>" .. and the attribute n; the vector of row `bad`, if there is one,
  // begins with 1e6, which float16 does not hold.
  std::string WriteJsonLines(const std::string& name, size_t rows, size_t bad = SIZE_MAX) {
    std::string text;
    for (size_t i = 0; i < rows; ++i) {
      nlohmann::json row{{"id", "d" + std::to_string(i)}, {"n", i}, {"embedding", VectorOf(i)}};
      if (i == bad) row["embedding"][0] = 1e6;
      text += row.dump() + "\n";
    }
    return WriteFile(name, text);
  }
  uint64_t Documents() { return client_->GetCollection("c")->documents(); }
  // Runs a line of shell; $BIN is the folder of the programs.
  static Outcome Shell(const std::string& line) {
    return RunProgram("/bin/sh", {"-c", line}, {{"BIN", BEBR_PROGRAMS}});
  }
};

TEST(Programs, AgreeOnExitCodes) {
  EXPECT_EQ(RunProgram("bebr", {"serch"}).exit_code, 2);
  EXPECT_EQ(RunProgram("bebr", {"count"}).exit_code, 2);
  EXPECT_EQ(RunProgram("bebr-server", {"--no_such_flag"}).exit_code, 2);
  EXPECT_EQ(RunProgram("bebr-server",
                       {"--data_dir", "/proc/nowhere", "--listen", "127.0.0.1:0", "--metrics_listen", "127.0.0.1:0"})
                .exit_code,
            1);
  EXPECT_EQ(RunProgram("bebr", {"create", "c", "--model", "/nowhere"}).exit_code, 1);
  EXPECT_EQ(RunProgram("bebr", {"count", "c", "--server", "127.0.0.1:1"}).exit_code, 3);
  for (const char* program : {"bebr", "bebr-server"}) {
    EXPECT_EQ(RunProgram(program, {"--help"}).exit_code, 0) << program;
    const Outcome version = RunProgram(program, {"--version"});
    EXPECT_EQ(version.exit_code, 0) << program;
    EXPECT_THAT(version.out, MatchesRegex(std::string(program) + " [0-9]+.[0-9]+.[0-9]+\n"));
  }
}

TEST(Programs, AServersWrongFilesAreAWrongConfiguration) {
  TemporaryDirectory directory;
  const auto starts = [&](std::vector<std::string> flags) {
    flags.insert(flags.end(),
                 {"--data_dir", directory.path() + "/data", "--listen", "127.0.0.1:0", "--metrics_listen", ""});
    return RunProgram("bebr-server", flags);
  };
  const std::string keys = directory.path() + "/keys.json";
  std::ofstream(keys) << "{\n\"keys\": [}";
  const Outcome broken = starts({"--keys_file", keys});
  EXPECT_EQ(broken.exit_code, 2);
  EXPECT_THAT(broken.err, HasSubstr("line 2, column 10"));
  EXPECT_EQ(starts({"--keys_file", "/nowhere"}).exit_code, 2);
  EXPECT_EQ(starts({"--tls_cert_file", "/nowhere", "--tls_key_file", "/nowhere"}).exit_code, 2);
  EXPECT_EQ(starts({"--http_listen", "127.0.0.1:0", "--console_dir", "/nowhere"}).exit_code, 2);
}

TEST(Programs, AnswerHelpAsAVerb) {
  EXPECT_THAT(RunProgram("bebr", {"help"}).out, HasSubstr("import"));
  EXPECT_THAT(RunProgram("bebr", {"help", "search"}).out, HasSubstr("--queries"));
}

TEST(Programs, VerifyWhatIsThereOnly) {
  TemporaryDirectory directory;
  const Outcome empty = RunProgram("bebr-server", {"--verify", "--data_dir", directory.path()});
  EXPECT_EQ(empty.exit_code, 0) << empty.err;
  EXPECT_THAT(empty.out, HasSubstr("0 collections"));
  const std::string nowhere = directory.path() + "/nowhere";
  for (const std::vector<std::string>& flags :
       {std::vector<std::string>{"--data_dir", nowhere}, {"--data_dir", directory.path(), "--snapshot_dir", nowhere}}) {
    std::vector<std::string> arguments = flags;
    arguments.push_back("--verify");
    const Outcome missing = RunProgram("bebr-server", arguments);
    EXPECT_EQ(missing.exit_code, 1);
    EXPECT_THAT(missing.err, HasSubstr("\"" + nowhere + "\" does not exist"));
  }
}

TEST_F(CommandLineTest, WrongArgumentsAreNoFailure) {
  Start();
  CreateCollection();
  const std::string queries = WriteJsonLines("queries.jsonl", 2);
  for (const std::vector<std::string>& line :
       {std::vector<std::string>{"bench", "c", "--queries", queries, "--clients", "0"},
        {"bench", "c", "--queries", queries, "--seconds", "0"},
        {"search", "c", "--queries", queries, "--row", "9999"},
        {"search", "c", "--queries", queries, "-k", "0"},
        {"search", "c", "--queries", queries, "-k", "10001"},
        {"search", "c", "--queries", queries, "-k", "abc"},
        {"search", "c", "--queries", queries, "-k", "10", "--rerank", "5"},
        {"search", "c", "--queries", queries, "--filter", "n =="},
        {"search", "c", "--queries", queries, "--group-by", "n", "--group-size", "0"},
        {"search", "c", "--queries", queries, "--its-cuts", "1,2"},
        {"count", "c", "--filter", "n ="},
        {"facets", "c", "n", "--limit", "0"},
        {"scroll", "c", "--limit", "-1"},
        {"create", "d", "--dims", "1"},
        {"create", "d", "--dims", "64", "--bits", "100"},
        {"create", "d", "--dims", "64", "--shards", "1000"},
        {"create", "no such name", "--dims", "64"},
        {"create", "d", "--dims", "64", "--attribute", "at:date"},
        {"update", "c", "a"},
        {"update", "c", "a", "--set", "n=null"},
        {"update", "c", "a", "--set", "n=9223372036854775808"},
        {"update", "c", "a", "--set", "n=1e400"},
        {"update", "c", "a", "--set", "n=[1,"},
        {"search", "c", "--like", "a", "--row", "0"},
        {"search", "c", "--like", "a", "--fuse", "max"},
        {"eval", "c", "--queries", queries, "--docs", queries, "-k", "0"},
        {"bench", "c", "--queries", queries, "-k", "0"},
        {"collections", "--server", "127.0.0.1:"},
        {"collections", "--server", "127.0.0.1:x"},
        {"collections", "--server", "127.0.0.1:0"},
        {"collections", "--server", ":7700"},
        {"delete", "c"},
        {"cluster", "move", "a", "a"},
        {"get", "c"}}) {
    EXPECT_EQ(Bebr(line).exit_code, 2) << line[0];
  }
  const Outcome get = Bebr({"get", "c", "nosuch", "no2", "nosuch"});
  EXPECT_EQ(get.exit_code, 1);
  EXPECT_THAT(get.err, HasSubstr("2 of 3 ids are not in \"c\": nosuch, no2\n"));
  const Outcome update = Bebr({"update", "c", "nosuch", "--set", "n=1"});
  EXPECT_EQ(update.exit_code, 1);
  EXPECT_THAT(update.err, HasSubstr("the first is nosuch"));
}

TEST_F(CommandLineTest, AGatewayWithoutItsNodesIsNoServerThatIsAbsent) {
  Start({"--cluster_nodes", "a=127.0.0.1:1"});
  const Outcome outcome = Bebr({"drop", "c"});
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("node a (127.0.0.1:1): failed to connect"), Not(HasSubstr("no server"))));
}

TEST_F(CommandLineTest, ServersAreNamedAsUrlsToo) {
  Start();
  const auto collections = [](const std::string& server) {
    return RunProgram("bebr", {"collections", "--server", server});
  };
  EXPECT_EQ(collections("http://" + server_->address()).exit_code, 0);
  EXPECT_EQ(collections("http://" + server_->address() + "/").exit_code, 0);
  EXPECT_THAT(collections("https://" + server_->address()).err, HasSubstr("https is TLS"));
  EXPECT_THAT(collections("ftp://" + server_->address()).err, HasSubstr("it is HOST:PORT"));
}

TEST(Programs, TheTrainerAgreesToo) {
  if (!std::filesystem::exists(BEBR_PROGRAMS "/bebr-train")) GTEST_SKIP() << "built without the trainer";
  EXPECT_EQ(RunProgram("bebr-train", {"--no-such-flag"}).exit_code, 2);
  EXPECT_EQ(RunProgram("bebr-train", {"--input", "/nowhere.npy"}).exit_code, 2);
  EXPECT_EQ(RunProgram("bebr-train", {"--input", "/nowhere.npy", "--output", "/tmp/m", "--bits", "8", "--shape", "8x1"})
                .exit_code,
            2);
  EXPECT_EQ(RunProgram("bebr-train", {"--input", "/nowhere.npy", "--output", "/tmp/m", "--bits", "64"}).exit_code, 1);
  EXPECT_EQ(RunProgram("bebr-train", {"--input", "/nowhere.npy", "--output", "/tmp/m", "--bits", "64",
                                      "--compatible-with", "/nowhere.safetensors"})
                .exit_code,
            2);
  EXPECT_EQ(RunProgram("bebr-train", {"--packed", "4", "--output", "/tmp/m"}).exit_code, 2);
  for (const auto& [option, value] : std::vector<std::pair<std::string, std::string>>{{"--bits", "-5"},
                                                                                      {"--bits", "4"},
                                                                                      {"--bits", "99999999"},
                                                                                      {"--query-levels", "0"},
                                                                                      {"--query-levels", "8"},
                                                                                      {"--steps", "-1"},
                                                                                      {"--threads", "-1"},
                                                                                      {"--seed", "-1"},
                                                                                      {"--hidden", "-1"}}) {
    std::vector<std::string> line = {"--input", "/nowhere.npy", "--output", "/tmp/m", option, value};
    if (option != "--bits") line.insert(line.end(), {"--bits", "64"});
    const Outcome wrong = RunProgram("bebr-train", line);
    EXPECT_EQ(wrong.exit_code, 2) << option << " " << value << wrong.err;
    EXPECT_THAT(wrong.err, HasSubstr(option));
  }
  EXPECT_EQ(RunProgram("bebr-train", {"--help"}).exit_code, 0);
  EXPECT_THAT(RunProgram("bebr-train", {"--version"}).out, MatchesRegex("bebr-train [0-9]+.[0-9]+.[0-9]+\n"));
}

// Before training there is nothing to keep: a fit of minutes ends as soon as it is told to.
TEST_F(CommandLineTest, AnInterruptedFitEndsAtOnceAndLeavesNothing) {
  if (!std::filesystem::exists(BEBR_PROGRAMS "/bebr-train")) GTEST_SKIP() << "built without the trainer";
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (20000, 128), }", values;
  header.resize(128 - 10, ' ');
  uint32_t random = 1;
  while (values.size() < size_t{20000} * 128 * sizeof(float)) {
    const float value = static_cast<float>((random = random * 1664525 + 1013904223) >> 8) - (1 << 23);
    values.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  const std::string file = WriteFile("rows.npy", std::string("\x93NUMPY\x01\0\x76\0", 10) + header + values);
  // What runs in a shell's background does not hear SIGINT.
  const Outcome outcome =
      RunProgram("/bin/sh",
                 {"-c",
                  "$BIN/bebr-train --input $ROWS --bits 512 --groups 64 --output $ROWS.model 2>$ROWS.log & "
                  "until grep -q recall@10 $ROWS.log; do sleep 0.01; done; kill -TERM $!; wait $!; code=$?; cat "
                  "$ROWS.log; exit $code"},
                 {{"BIN", BEBR_PROGRAMS}, {"ROWS", file}});
  EXPECT_EQ(outcome.exit_code, 1) << outcome.out;
  EXPECT_THAT(outcome.out, HasSubstr("interrupted before training began: nothing is kept"));
  for (const char* left : {".model", ".model.part", ".model.checkpoint"})
    EXPECT_FALSE(std::filesystem::exists(file + left)) << left;
}

// Codes that were made elsewhere: their bits are the code, and a score says how many differ.
TEST_F(CommandLineTest, PackedCodesAreImportedAsTheyAre) {
  if (!std::filesystem::exists(BEBR_PROGRAMS "/bebr-train")) GTEST_SKIP() << "built without the trainer";
  Start();
  constexpr size_t kRows = 60, kBytes = 16;
  std::string header = "{'descr': '|u1', 'fortran_order': False, 'shape': (60, 16), }", bits;
  header.resize(128 - 10, ' ');
  uint32_t random = 1;
  while (bits.size() < kRows * kBytes) bits += static_cast<char>((random = random * 1664525 + 1013904223) >> 24);
  const std::string file = WriteFile("codes.npy", std::string("\x93NUMPY\x01\0\x76\0", 10) + header + bits) + ":bits";
  ASSERT_EQ(RunProgram("bebr-train", {"--packed", "128", "--output", Path("signs.safetensors")}).exit_code, 0);
  ASSERT_EQ(Bebr({"create", "packed", "--model", Path("signs.safetensors")}).exit_code, 0);
  const Outcome imported = Bebr({"import", "packed", file});
  ASSERT_EQ(imported.exit_code, 0) << imported.err;
  const Outcome found = Bebr({"search", "packed", "--queries", file, "--row", "7", "-k", "60", "--json"});
  ASSERT_EQ(found.exit_code, 0) << found.err;
  const auto hits = nlohmann::json::parse(found.out)[0]["hits"];
  ASSERT_EQ(hits.size(), kRows);
  EXPECT_EQ(hits[0]["id"], "7");
  for (const auto& hit : hits) {
    const size_t row = std::stoul(hit["id"].get<std::string>());
    int distance = 0;
    for (size_t i = 0; i < kBytes; ++i)
      distance += std::popcount(static_cast<unsigned char>(bits[row * kBytes + i] ^ bits[7 * kBytes + i]));
    EXPECT_NEAR(hit["score"].get<double>(), 1 - 2.0 * distance / 128, 1e-5);
  }
}

TEST(Programs, FailWhenTheirOutputIsLost) {
  for (const char* line :
       {"$BIN/bebr --help >/dev/full", "$BIN/bebr --version >/dev/full", "$BIN/bebr-server --help >/dev/full",
        "$BIN/bebr-server --data_dir /tmp --print_config >/dev/full"}) {
    const Outcome outcome = RunProgram("/bin/sh", {"-c", line}, {{"BIN", BEBR_PROGRAMS}});
    EXPECT_EQ(outcome.exit_code, 1) << line;
    EXPECT_THAT(outcome.err, HasSubstr("the output could not be written")) << line;
  }
}

TEST_F(CommandLineTest, AnswersThatAreLostAreAFailure) {
  Start();
  CreateCollection();
  const std::string rows = WriteJsonLines("rows.jsonl", 30), server = " --server " + server_->address();
  const std::string line = "$BIN/bebr collections" + server + " >";
  EXPECT_EQ(Shell(line + "/dev/null").exit_code, 0);
  // Every verb that prints.
  for (const std::string& verb : {"import c " + rows,
                                  "search c --row 0 --queries " + rows,
                                  "search c --json --row 0 --queries " + rows,
                                  "eval c --queries " + rows + " --docs " + rows,
                                  "get c d1"s,
                                  "update c d1 --set n=1"s,
                                  "delete c d2"s,
                                  "scroll c"s,
                                  "count c"s,
                                  "facets c n"s,
                                  "export c " + Path("out"),
                                  "collections"s,
                                  "stats"s,
                                  "stats c"s,
                                  "create other --dims 4"s,
                                  "drop other"s,
                                  "bench c --seconds 0.1 --queries " + rows,
                                  "version list c"s,
                                  "alias set a c"s,
                                  "alias list"s,
                                  "alias delete a"s,
                                  "snapshot create c"s,
                                  "snapshot list"s,
                                  "doctor"s,
                                  "manual"s,
                                  "completion"s,
                                  "search --help"s}) {
    const Outcome full = Shell("$BIN/bebr " + verb + server + " >/dev/full");
    EXPECT_EQ(full.exit_code, 1) << verb << ": " << full.err;
    EXPECT_THAT(full.err, HasSubstr("bebr: the output could not be written")) << verb;
  }
}

TEST_F(CommandLineTest, ImportTakesIdsAndAttributesOfJsonLines) {
  Start();
  CreateCollection();
  const Outcome imported = Bebr({"import", "c", WriteJsonLines("rows.jsonl", 300), "--json"});
  ASSERT_EQ(imported.exit_code, 0) << imported.err;
  EXPECT_EQ(nlohmann::json::parse(imported.out)["created"], 300);
  const auto got = nlohmann::json::parse(Bebr({"get", "c", "d17", "--json"}).out);
  EXPECT_EQ(got[0]["attributes"].dump(), "{\"n\":17}");
  // The same file is what recall is measured against, by the same ids.
  const Outcome measured = Bebr({"eval", "c", "--queries", Path("rows.jsonl"), "--docs", Path("rows.jsonl"), "--json"});
  ASSERT_EQ(measured.exit_code, 0) << measured.err;
  EXPECT_EQ(nlohmann::json::parse(measured.out)["queries"], 300);
}

TEST_F(CommandLineTest, ImportWritesNothingFromAFileThatIsWrongSomewhere) {
  Start();
  CreateCollection();
  const std::string good = WriteJsonLines("rows.jsonl", 1000);
  std::ofstream(good, std::ios::app) << "oops\n";
  const Outcome refused = Bebr({"import", "c", good, "--batch", "100"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("line 1001"), HasSubstr("Nothing was written")));
  EXPECT_EQ(Documents(), 0u);
  const Outcome midway = Bebr({"import", "c", good, "--batch", "100", "--unchecked"});
  EXPECT_EQ(midway.exit_code, 1);
  EXPECT_THAT(midway.err, AllOf(HasSubstr("line 1001"), HasSubstr("--offset 1000 goes on")));
  EXPECT_EQ(Documents(), 1000u);
}

// It is killed in the midst of it, and says nothing more; what it had not acknowledged is sent again.
TEST_F(CommandLineTest, ImportWaitsForAServerThatGoesAway) {
  constexpr size_t kRows = 20000;
  const std::string address = "127.0.0.1:" + std::to_string(FreePort());
  Start({"--listen", address});
  CreateCollection();
  const std::string rows = WriteJsonLines("rows.jsonl", kRows);
  Outcome outcome;
  std::thread import([&] {
    outcome = RunProgram("bebr", {"--server", address, "import", "c", rows, "--batch", "10", "--json"});
  });
  for (int restart = 1; restart <= 2; ++restart) {
    EXPECT_TRUE(Until([&] {
      const auto collection = client_->GetCollection("c");
      return collection.ok() && collection->documents() > 2000u * restart;
    }));
    server_->Signal(SIGKILL);
    server_->Wait();
    Start({"--listen", address});
  }
  import.join();
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  for (const char* told :
       {"bebr: the server is away (", "); waiting up to 60 s for it\n", "bebr: the server is back"}) {
    const size_t first = outcome.err.find(told), second = outcome.err.find(told, first + 1);
    EXPECT_NE(second, std::string::npos) << outcome.err;  // once for each restart
    EXPECT_EQ(outcome.err.find(told, second + 1), std::string::npos) << outcome.err;
  }
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["documents"], kRows);
  EXPECT_EQ(Documents(), kRows);

  // One that stays away is waited for no longer than was said.
  v1::DeleteRequest none;
  none.set_collection("c");
  none.set_filter("n >= 0");
  ASSERT_TRUE(client_->Delete(none).ok());
  std::thread other([&] {
    outcome = RunProgram("bebr", {"--server", address, "import", "c", rows, "--batch", "1", "--patience", "1"});
  });
  EXPECT_TRUE(Until([&] { return Documents() > 100; }));
  server_.reset();
  other.join();
  EXPECT_EQ(outcome.exit_code, 3) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("are in \"c\""), HasSubstr("goes on")));
}

// 200 texts of 400 kB: more than a message may have.
TEST_F(CommandLineTest, ImportCutsMessagesByTheBytesOfAttributes) {
  Start();
  CreateCollection();
  std::string lines;
  for (int i = 0; i < 200; ++i) {
    nlohmann::json line = {{"id", std::to_string(i)}, {"body", std::string(400000, 'x')}, {"embedding", VectorOf(1)}};
    lines += line.dump() + "\n";
  }
  const Outcome outcome = Bebr({"import", "c", WriteFile("large.jsonl", lines), "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["documents"], 200);
}

TEST_F(CommandLineTest, ImportSaysHowToGoOn) {
  Start();
  CreateCollection(v1::FLOAT_STORAGE_F16);
  const Outcome refused =
      Bebr({"import", "c", WriteJsonLines("rows.jsonl", 1000, 420), "--batch", "100", "--window", "1"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("row 420 of"), HasSubstr("keeps f16"), HasSubstr("Rows 0 to 399"),
                                 HasSubstr("400 documents"), HasSubstr("--offset 400 goes on"),
                                 HasSubstr("once that row is mended")));
  EXPECT_EQ(Documents(), 400u);
  const Outcome rest =
      Bebr({"import", "c", WriteJsonLines("rows.jsonl", 1000), "--batch", "100", "--offset", "400", "--json"});
  ASSERT_EQ(rest.exit_code, 0) << rest.err;
  EXPECT_EQ(nlohmann::json::parse(rest.out)["created"], 600);
  EXPECT_EQ(Documents(), 1000u);
}

TEST_F(CommandLineTest, ImportLeavesOutWhatIsWrong) {
  Start();
  CreateCollection(v1::FLOAT_STORAGE_F16);
  const std::string rows = WriteJsonLines("rows.jsonl", 1000, 420);
  const Outcome imported = Bebr({"import", "c", rows, "--batch", "100", "--partial", "--json"});
  ASSERT_EQ(imported.exit_code, 0) << imported.err;
  const auto summary = nlohmann::json::parse(imported.out);
  EXPECT_EQ(summary["documents"], 999);
  EXPECT_EQ(summary["wrong"], 1);
  EXPECT_EQ(summary["errors"][0]["id"], "d420");
  EXPECT_EQ(Documents(), 999u);
  EXPECT_THAT(Bebr({"import", "c", rows, "--partial"}).err, HasSubstr("left out: \"d420\": "));
  // One that breaks off tells what it left out.
  std::string lines = *ReadFile(rows);
  lines.insert(lines.find("\"d900\""), "{");
  const Outcome broken = Bebr({"import", "c", WriteFile("broken.jsonl", lines), "--batch", "100", "--partial"});
  EXPECT_EQ(broken.exit_code, 1);
  EXPECT_THAT(broken.err,
              AllOf(HasSubstr("Rows 0 to 899 of"), HasSubstr("are in \"c\", but for 1 that were not written (1 wrong)"),
                    HasSubstr("--offset 900 goes on")));
  const std::string other = std::to_string(client_->GetCollection("c")->versions(0).model_checksum() ^ 1);
  for (const Outcome& refused : {Bebr({"import", "c", rows, "--model-checksum", other}),
                                 Bebr({"search", "c", "--queries", rows, "--model-checksum", other})}) {
    EXPECT_EQ(refused.exit_code, 1);
    EXPECT_THAT(refused.err, HasSubstr("checksum"));
  }
}

// NaN is one row's fault, and JSON that is none the whole file's.
TEST_F(CommandLineTest, ImportLeavesOutRowsThatAreNoNumbers) {
  Start();
  CreateCollection();
  Matrix matrix{.rows = 50, .dims = kDims, .values = {}};
  for (size_t i = 0; i < matrix.rows; ++i) {
    const auto values = VectorOf(i);
    matrix.values.insert(matrix.values.end(), values.begin(), values.end());
  }
  matrix.values[42 * kDims + 3] = NAN;
  matrix.values[44 * kDims] = -INFINITY;
  const std::string file = Path("docs.npy");
  ASSERT_TRUE(WriteNpy(file, matrix).ok());
  EXPECT_THAT(Bebr({"import", "c", file}).err,
              AllOf(HasSubstr("row 42 (counted from 0)"), HasSubstr("--partial leaves out such rows and names them"),
                    HasSubstr("Nothing was written")));
  EXPECT_EQ(Documents(), 0u);
  EXPECT_THAT(
      Bebr({"import", "c", file, "--unchecked", "--batch", "10"}).err,
      AllOf(HasSubstr("row 42 (counted from 0)"), HasSubstr("--offset 40 goes on once that row is mended, or")));
  EXPECT_EQ(Documents(), 40u);
  const Outcome partial = Bebr({"import", "c", file, "--partial"});
  EXPECT_EQ(partial.exit_code, 0);
  EXPECT_THAT(partial.err, AllOf(HasSubstr("left out: \"42\": "), HasSubstr("left out: \"44\": ")));
  EXPECT_THAT(partial.out, AllOf(HasSubstr("48 documents"), EndsWith("; 2 that are wrong were left out\n")));
  EXPECT_EQ(Documents(), 48u);
  const std::string lines = WriteFile("broken.jsonl", "oops\n");
  EXPECT_THAT(Bebr({"import", "c", lines, "--unchecked"}).err, Not(HasSubstr("start again")));
}

TEST_F(CommandLineTest, ImportClearsAttributesOnlyWhereItIsTold) {
  Start();
  CreateCollection();
  ASSERT_EQ(Bebr({"import", "c", WriteJsonLines("rows.jsonl", 30)}).exit_code, 0);
  v1::VersionConfig config;
  config.set_collection("c");
  config.set_name("v2");
  ASSERT_TRUE(client_->AddVersion(config, ModelFile(2)).ok());
  const std::string bare =
      WriteFile("bare.jsonl", nlohmann::json{{"id", "d1"}, {"embedding", VectorOf(7)}}.dump() + "\n");
  const auto attributes = [&] {
    return nlohmann::json::parse(Bebr({"get", "c", "d1", "--json"}).out)[0]["attributes"].dump();
  };
  const Outcome refused = Bebr({"import", "c", bare, "--version", "v2"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("would lose theirs"), HasSubstr("--merge"), HasSubstr("--clear-attributes"),
                                 HasSubstr("Nothing was written")));
  EXPECT_EQ(Bebr({"import", "c", Path("rows.jsonl"), "--version", "v2", "--no-attributes"}).exit_code, 2);
  EXPECT_EQ(Bebr({"import", "c", bare, "--version", "v2", "--merge", "--clear-attributes"}).exit_code, 2);
  EXPECT_EQ(Bebr({"import", "c", bare, "--version", "v2", "--merge"}).exit_code, 0);
  EXPECT_EQ(Bebr({"import", "c", bare, "--version", "v2", "--if-absent"}).exit_code, 0);
  EXPECT_EQ(attributes(), "{\"n\":1}");
  const std::vector<std::string> eval = {
      "eval", "c", "--queries", Path("rows.jsonl"), "--docs", Path("rows.jsonl"), "--version", "v2"};
  const Outcome measured = Bebr(eval);
  const size_t warned = measured.err.find("bebr: warning: documents that have no code of ");
  EXPECT_NE(warned, std::string::npos) << measured.err;
  EXPECT_EQ(measured.err.find("bebr: warning", warned + 1), std::string::npos) << measured.err;
  EXPECT_EQ(Bebr({"import", "c", Path("rows.jsonl"), "--version", "v2"}).exit_code, 0);  // brings attributes
  EXPECT_EQ(attributes(), "{\"n\":1}");
  EXPECT_EQ(Bebr({"import", "c", bare, "--version", "v2", "--clear-attributes"}).exit_code, 0);
  EXPECT_EQ(attributes(), "{}");
  EXPECT_EQ(Bebr({"import", "c", bare, "--version", "v1"}).exit_code, 0);  // the default
}

// A key that may only read, and a disk that takes no more: another start helps neither.
TEST_F(CommandLineTest, ImportSaysStartAgainOnlyWhereThatHelps) {
  Start();
  CreateCollection();
  const std::string rows = WriteJsonLines("rows.jsonl", 3000);
  const rlimit full{.rlim_cur = 512, .rlim_max = RLIM_INFINITY};
  ASSERT_EQ(prlimit(server_->pid(), RLIMIT_FSIZE, &full, nullptr), 0);
  const Outcome disk = Bebr({"import", "c", rows, "--patience", "0"});
  EXPECT_NE(disk.exit_code, 0);
  EXPECT_THAT(disk.err, AllOf(HasSubstr("No row of"), Not(HasSubstr("start again"))));
  const nlohmann::json key = {{"name", "reader"}, {"sha256", Sha256Of("reader-key")}, {"role", "read"}};
  Start({"--keys_file", WriteFile("keys.json", nlohmann::json{{"keys", {key}}}.dump())});
  const Outcome refused =
      RunProgram("bebr", {"import", "c", rows, "--server", server_->address()}, {{"BEBR_API_KEY", "reader-key"}});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("PERMISSION_DENIED"), Not(HasSubstr("start again"))));
}

TEST_F(CommandLineTest, ImportLimitsRowsWithIds) {
  Start();
  CreateCollection();
  Matrix matrix{.rows = 50, .dims = kDims, .values = {}};
  std::string ids;
  for (size_t i = 0; i < matrix.rows; ++i) {
    const auto values = VectorOf(i);
    matrix.values.insert(matrix.values.end(), values.begin(), values.end());
    ids += "id" + std::to_string(i) + "\n";
  }
  ASSERT_TRUE(WriteNpy(Path("docs.npy"), matrix).ok());
  const std::string ids_file = WriteFile("ids.txt", ids);
  EXPECT_EQ(Bebr({"import", "c", Path("docs.npy"), "--ids", ids_file, "--limit", "20"}).exit_code, 0);
  EXPECT_EQ(Bebr({"import", "c", Path("docs.npy"), "--ids", ids_file, "--offset", "20", "--limit", "5"}).exit_code, 0);
  EXPECT_EQ(Documents(), 25u);
  EXPECT_EQ(Bebr({"get", "c", "id24"}).exit_code, 0);
  EXPECT_EQ(Bebr({"get", "c", "id25"}).exit_code, 1);
}

TEST_F(CommandLineTest, UnnamedSnapshotsGetNamesOfTheirOwn) {
  Start();
  CreateCollection();
  std::set<std::string> names;
  for (int i = 0; i < 4; ++i) {
    const Outcome made = Bebr({"snapshot", "create", "c", "--json"});
    ASSERT_EQ(made.exit_code, 0) << made.err;
    names.insert(nlohmann::json::parse(made.out)["name"].get<std::string>());
  }
  EXPECT_EQ(names.size(), 4u);
  EXPECT_EQ(Bebr({"snapshot", "create", "c", "--name", *names.begin()}).exit_code, 1);
}

TEST_F(CommandLineTest, ARetiredVersionSaysWhatItWas) {
  Start();
  CreateCollection();
  v1::VersionConfig config;
  config.set_collection("c");
  config.set_name("v2");
  ASSERT_TRUE(client_->AddVersion(config, ModelFile(2)).ok());
  ASSERT_EQ(Bebr({"version", "promote", "c", "v2", "--force"}).exit_code, 0);
  ASSERT_EQ(Bebr({"version", "retire", "c", "v1"}).exit_code, 0);
  for (int round = 0; round < 2; ++round) {
    const Outcome list = Bebr({"version", "list", "c"});
    EXPECT_THAT(list.out, HasSubstr("retired      was 24-d floats to 32x2+32x1 (96 bits)")) << list.err;
    Start();  // the second time it was read from disk
  }
}

TEST_F(CommandLineTest, TopAndDoctorLookAtTheServer) {
  Start();
  CreateCollection();
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 100)).ok());
  const Outcome top = Bebr({"top", "--frames", "2", "--interval", "0.1", "--json"});
  ASSERT_EQ(top.exit_code, 0) << top.err;
  const auto frame = nlohmann::json::parse(top.out.substr(top.out.find('\n') + 1));
  EXPECT_EQ(frame["collections"][0]["documents"], 100);
  EXPECT_EQ(frame["queries_per_s"], 0);
  EXPECT_THAT(Bebr({"top", "--frames", "1", "--interval", "0.1"}).out, HasSubstr("\nc       "));

  const Outcome doctor = Bebr({"doctor", "--data-dir", Path("data"), "--json"});
  std::set<std::string> about;
  for (const auto& finding : nlohmann::json::parse(doctor.out)) about.insert(finding["about"]);
  for (const char* one : {"processor", "clock", "format", "writing", "server", "kernels", "load", "collections"}) {
    EXPECT_TRUE(about.contains(one)) << one;
  }
  const Outcome none = RunProgram("bebr", {"doctor", "--server", "127.0.0.1:1"});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_THAT(none.out, HasSubstr("fault    server"));
}

}  // namespace
}  // namespace bebr::testing
