// Who sits before the console, and what they may do.

import * as api from "../page/api.js";

const ROLES = ["read", "write", "admin"];

let me = { keys: false, role: "admin", name: null };

export const who = () => me;
export const may = (role) => ROLES.indexOf(me.role) >= ROLES.indexOf(role);

export async function meet(asking = api.session()) {
  try {
    me = await asking;
  } catch (error) {
    if (!error.missing) throw error;
  }
  return me;
}
