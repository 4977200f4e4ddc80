import { defineConfig } from "vitest/config";

// Bundles and components are made in some of these, on machines that do other things too.
export default defineConfig({ test: { include: ["test/**/*.test.ts"], testTimeout: 120_000, hookTimeout: 120_000 } });
