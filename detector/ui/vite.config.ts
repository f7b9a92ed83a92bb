// The pages are served by the program itself under a strict content security policy: nothing may be
// inlined, neither scripts, styles nor images.
import { defineConfig } from "vite";

// Where `detector serve` answers by default, for `npm run dev`.
const server = "http://localhost:5000";

export default defineConfig({
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    proxy: {
      "/api": { target: server, changeOrigin: true },
      "/predict": { target: server, changeOrigin: true },
      "/metrics": { target: server, changeOrigin: true },
    },
  },
});
