// `structuredClone` for QuickJS, which lacks it. Only in components that mention it.

import clone from "@ungap/structured-clone";

import { supply } from "./missing.js";

supply({ structuredClone: (value: unknown) => clone(value) as unknown });
