// The first thing that runs in a component, before any module of the author's. What the engine lacks is
// brought next, and then `denied`, so that no module of the author's sees what was true on the machine that
// built it.

import "./component.js";
import "./timers.js";
import "./promise.js";
import "./missing.js";
