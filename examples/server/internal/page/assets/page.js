// What the page does beyond its HTML: plots, figures that keep up, forms that speak to the API, and colours that change
// without loading anew. Nothing here is needed for reading.

import { live } from "./live.js";
import { forms } from "./forms.js";
import { plots } from "./plots.js";
import { theme } from "./theme.js";

const drawn = plots();
const refresh = live(() => drawn.update());
theme(() => drawn.redraw());
forms(() => refresh());
