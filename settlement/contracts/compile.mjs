// Compiles every contract of this folder (or of the folder given as second argument, against this one) with solc-js.
// Usage: node compile.mjs OUT_DIR [SOURCE_DIR]. One JSON file per contract of the folder itself (subfolders hold only
// parts of contracts): name, source, abi, bytecode.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

const solc = createRequire(import.meta.url)("solc");
const here = dirname(fileURLToPath(import.meta.url));
const outDir = resolve(process.argv[2]);
const sourceDir = resolve(process.argv[3] ?? here);

function solidityFiles(dir) {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    if (entry.name === "node_modules" || entry.name === "artifacts") return [];
    const path = join(dir, entry.name);
    if (entry.isDirectory()) return solidityFiles(path);
    return entry.name.endsWith(".sol") ? [path] : [];
  });
}

function readImport(path) {
  for (const base of [sourceDir, here, join(here, "node_modules")]) {
    try {
      return { contents: readFileSync(join(base, path), "utf8") };
    } catch {
      continue;
    }
  }
  return { error: `no file ${path}` };
}

const unitName = (path) => relative(sourceDir, path).split(sep).join("/");
const sources = Object.fromEntries(
  solidityFiles(sourceDir)
    .sort()
    .map((path) => [unitName(path), { content: readFileSync(path, "utf8") }]),
);
const settings = {
  viaIR: true,
  optimizer: { enabled: true, runs: 10_000 },
  evmVersion: "cancun",
  metadata: { bytecodeHash: "none", appendCBOR: false },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
};
const output = JSON.parse(
  solc.compile(JSON.stringify({ language: "Solidity", sources, settings }), { import: readImport }),
);
const messages = output.errors ?? [];
for (const message of messages) console.error(message.formattedMessage);
// A warning is an error here too, except in what is not ours.
if (messages.some((m) => m.severity === "error" || !(m.sourceLocation?.file ?? "").startsWith("@"))) process.exit(1);

mkdirSync(outDir, { recursive: true });
let written = 0;
for (const source of Object.keys(sources).filter((name) => !name.includes("/"))) {
  for (const [name, contract] of Object.entries(output.contracts[source] ?? {})) {
    const artifact = { contract: name, source, abi: contract.abi, bytecode: `0x${contract.evm.bytecode.object}` };
    writeFileSync(join(outDir, `${name}.json`), `${JSON.stringify(artifact)}\n`);
    written += 1;
  }
}
console.log(`${written} contracts, solc ${solc.version()}`);
