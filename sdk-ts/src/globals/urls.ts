// `URL` and `URLSearchParams` for QuickJS, which has neither. Only in components that mention them.

import URL from "core-js-pure/actual/url/index.js";
import URLSearchParams from "core-js-pure/actual/url-search-params/index.js";

import { supply } from "./missing.js";

supply({ URL, URLSearchParams });
