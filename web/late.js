// Parts of the page that are loaded when they are first needed, so that the page itself is there at once.

/**
 * @param {() => Promise} load
 * @returns {() => Promise} what `load` gives: asked for once, and anew where it failed
 */
export function late(load) {
  let loading = null;
  return () => {
    loading ??= load().catch((error) => {
      loading = null;
      throw error;
    });
    return loading;
  };
}

/** @param {...string} addresses - of style sheets @returns {Promise} once they are in force, or cannot be had */
export function withStyles(...addresses) {
  return Promise.all(addresses.map(withStyle));
}

function withStyle(address) {
  const known = document.querySelector(`link[href='${address}']`);
  if (known?.sheet) return null;
  const link = known ?? document.createElement("link");
  const loaded = new Promise((resolve) => ["load", "error"].forEach((event) => link.addEventListener(event, resolve)));
  // One that could not be had is asked for anew.
  link.addEventListener("error", () => link.remove());
  if (known === null) document.head.append(Object.assign(link, { rel: "stylesheet", href: address }));
  return loaded;
}
