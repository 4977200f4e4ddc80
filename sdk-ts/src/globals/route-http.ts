// `fetch` and what comes with it, over the host's `http`.

import { HostHeaders, HostResponse, hostFetch } from "./fetch.js";

Object.assign(globalThis, { fetch: hostFetch, Headers: HostHeaders, Response: HostResponse });
