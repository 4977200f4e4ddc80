// In a component: the import itself. Whoever imports this file makes the component ask for it.

import * as raw from "flowhost:http/http@0.1.0";

import type { Http } from "../contract.js";

const http: Http = raw;
export default http;
