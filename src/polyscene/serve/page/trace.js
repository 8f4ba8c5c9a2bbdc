export function openTrace(shelf) {}
