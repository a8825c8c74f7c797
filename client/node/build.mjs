// Builds the package: the API's messages of ../../proto with protoc and protoc-gen-es, then dist/ with tsc. In a packed package, which
// has dist/ and no protos, there is nothing to do.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const protos = join(here, "..", "..", "proto");
const files = ["bebr/v1/types", "bebr/v1/documents", "bebr/v1/search", "bebr/v1/collections", "bebr/v1/admin", "google/rpc/status", "google/rpc/error_details"];

function run(command, args) {
  const path = join(here, "node_modules", ".bin") + delimiter + process.env.PATH;
  const done = spawnSync(command, args, { cwd: here, stdio: "inherit", env: { ...process.env, PATH: path } });
  if (done.error?.code === "ENOENT") throw new Error(`${command} is missing: ${command === "protoc" ? "install protobuf-compiler" : "run npm ci"}`);
  if (done.status !== 0) throw new Error(`${command} failed`);
}

if (existsSync(join(protos, "bebr", "v1", "types.proto"))) {
  const generated = join(here, "src", "gen");
  rmSync(generated, { recursive: true, force: true });
  mkdirSync(generated, { recursive: true });
  run("protoc", ["-I", protos, `--es_out=${generated}`, "--es_opt=target=ts,import_extension=js", ...files.map((file) => `${file}.proto`)]);
  const { version } = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
  writeFileSync(join(generated, "version.ts"), `// Of package.json.\nexport const version = ${JSON.stringify(version)};\n`);
  rmSync(join(here, "dist"), { recursive: true, force: true });
  run("tsc", ["-p", "."]);
}
