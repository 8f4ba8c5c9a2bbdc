// Data quality: what is odd about the data, how bad it is, and how to mend it.

import * as api from "../page/api.js";
import { say } from "../page/say.js";
import { empty, head, panel } from "./ui.js";

export async function page({ signal }) {
  return { title: say("quality"), content: [
    head(say("quality"), say("quality-lead")),
    panel(say("findings"), async () => empty(JSON.stringify(await api.quality(signal)))),
  ] };
}
