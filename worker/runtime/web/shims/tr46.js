// tr46 (Unicode IDNA Compatibility Processing), whose tables are two thirds of what the whole bundle would keep on the
// heap: it is evaluated when a domain needs it. Most are ASCII, and then there is nothing to do but to write them small.
function toASCII(domain, options) {
  if (!options.checkHyphens && /^[\0-\x7f]*$/.test(domain) && !/(?:^|\.)xn--/i.test(domain)) return domain.toLowerCase();
  return require('whatwg-url/../tr46/index.js').toASCII(domain, options);
}

module.exports = { toASCII };
