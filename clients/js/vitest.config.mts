import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      { test: { name: "node", include: ["test/*.test.ts"], environment: "node", testTimeout: 20_000 } },
      // A browser and a server for each file: one file at a time.
      { test: { name: "chromium", include: ["test/chromium/*.test.ts"], testTimeout: 60_000, hookTimeout: 60_000, fileParallelism: false } },
    ],
  },
});
