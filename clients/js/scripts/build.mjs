// Builds the package into dist/, and the files that the crate `bennu` embeds.
//
//     node scripts/build.mjs            builds all of it
//     node scripts/build.mjs --check    fails where the embedded files aren't what it would build, or are too large

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, "..");
const embedded = path.resolve(root, "../../crates/bennu/src/client");
/** What a page loads at most, compressed. */
const GZIP_BYTES_MAX = 8 * 1024;

const { version } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
const banner = `/*! @bennu/client ${version}, MIT OR Apache-2.0 */`;

/** Bundles into memory: the text of the file, and of its source map if it has one. */
async function bundle(options) {
  const { outputFiles } = await build({
    entryPoints: [path.join(root, "src/index.ts")],
    outfile: "bennu.js",
    bundle: true,
    write: false,
    target: "es2021",
    banner: { js: banner },
    // Everything with an underscore is ours alone.
    ...(options.minify ? { mangleProps: /^_[a-z]/, legalComments: "none" } : {}),
    ...options,
  });
  return outputFiles.map(({ text }) => text);
}

mkdirSync(path.join(root, "dist"), { recursive: true });
const check = process.argv.includes("--check");
const faults = [];

const minified = {
  "bennu.min.mjs": { format: "esm" },
  "bennu.min.js": { format: "iife", entryPoints: [path.join(root, "src/global.ts")] },
};
for (const [name, options] of Object.entries(minified)) {
  const [text] = await bundle({ ...options, minify: true });
  const bytes = gzipSync(text, { level: 9 }).length;
  console.log(`${name}: ${text.length} bytes, ${bytes} gzipped (at most ${GZIP_BYTES_MAX})`);
  if (bytes > GZIP_BYTES_MAX) faults.push(`${name} has ${bytes} bytes gzipped, which is more than ${GZIP_BYTES_MAX}`);
  writeFileSync(path.join(root, "dist", name), text);
  const copy = path.join(embedded, name);
  if (!check) writeFileSync(copy, text);
  else if (readFileSync(copy, "utf8") !== text) faults.push(`${copy} isn't what the sources give: npm run build`);
}

const modules = { "bennu.mjs": { format: "esm" }, "bennu.cjs": { format: "cjs" } };
for (const [name, options] of Object.entries(modules)) {
  const [text] = await bundle(options);
  writeFileSync(path.join(root, "dist", name), text);
}

if (faults.length) {
  console.error(faults.join("\n"));
  process.exit(1);
}
