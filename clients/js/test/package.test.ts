// The built package, as Node finds it by its name. `npm run build` makes it.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";

import { describe, expect, test } from "vitest";

import * as sources from "../src/index";

const root = path.resolve(import.meta.dirname, "..");
const names = Object.keys(sources).sort().join();

/** What the program prints, run where the package is. */
function run(...args: string[]): string {
  return execFileSync(process.execPath, args, { cwd: root, encoding: "utf8" }).trim();
}

describe("the built package", () => {
  test("has what npm's phoenix has", async () => {
    const phoenix = Object.keys(await import("phoenix"));
    expect(phoenix.length).toBeGreaterThan(4);
    expect(names.split(",")).toEqual(expect.arrayContaining(phoenix));
  });

  test("is there for import and for require", () => {
    const print = "console.log(Object.keys(client).sort().join())";
    expect(run("--input-type=module", "-e", `import * as client from "@bennu/client"; ${print}`)).toBe(names);
    expect(run("--input-type=module", "-e", `import * as client from "@bennu/client/min"; ${print}`)).toBe(names);
    expect(run("-e", `const client = require("@bennu/client"); ${print}`)).toBe(names);
  });

  test("has every file that it says it has, and needs no other package", () => {
    const { dependencies, peerDependencies, exports, main, module, types, unpkg, jsdelivr } = JSON.parse(
      readFileSync(path.join(root, "package.json"), "utf8"),
    );
    expect([dependencies, peerDependencies]).toEqual([undefined, undefined]);
    const files = [...Object.values(exports["."]), ...Object.values(exports["./min"]), main, module, types, unpkg, jsdelivr];
    for (const file of files) expect(existsSync(path.join(root, file)), file).toBe(true);
    expect(readFileSync(path.join(root, "dist/bennu.mjs"), "utf8")).not.toMatch(/\bimport\b[^(]*\bfrom\b/);
  });
});
