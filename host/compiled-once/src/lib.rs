//! No code. This package's manifest gives the dependencies that the house tool and the host share one set of features each, so
//! that the first build of a fresh machine compiles each of them once. What it says there is why.
