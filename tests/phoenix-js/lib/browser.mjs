// Headless Chromium, as the system has it.

import { execFileSync } from "node:child_process";

import { chromium } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** Starts the browser with a profile of its own; `CHROMIUM` may name the program. */
export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? find(),
    args: [
      // The tests may run as root in a container, where the sandbox can't be set up; the pages are our own.
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

function find() {
  for (const name of NAMES) {
    try {
      return execFileSync("which", [name], { encoding: "utf8" }).trim();
    } catch {
      // Not under this name.
    }
  }
  throw new Error(`none of ${NAMES.join(", ")} is installed; as root: apt-get install chromium`);
}
