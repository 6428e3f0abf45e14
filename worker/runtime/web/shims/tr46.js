// tr46 (Unicode IDNA Compatibility Processing). Its tables are two thirds of what the whole bundle would keep on the
// heap, so it is evaluated only when a domain needs it. Most domains are ASCII, and only need lower case.
function toASCII(domain, options) {
  if (!options.checkHyphens && /^[\0-\x7f]*$/.test(domain) && !/(?:^|\.)xn--/i.test(domain)) return domain.toLowerCase();
  return require('whatwg-url/../tr46/index.js').toASCII(domain, options);
}

module.exports = { toASCII };
