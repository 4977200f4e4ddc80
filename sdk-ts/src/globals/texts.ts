// `TextEncoder` and `TextDecoder` for QuickJS, which has neither. Only in components that mention them.

import { TextDecoder, TextEncoder } from "@exodus/bytes/encoding-lite.js";

import { supply } from "./missing.js";

supply({ TextEncoder, TextDecoder });
