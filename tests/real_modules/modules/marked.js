import { Marked } from 'marked';

export const html = (text) => new Marked({ gfm: true, breaks: true }).parse(text);

export const outline = async (text) => {
  const headings = [];
  const marked = new Marked({
    async: true,
    walkTokens: async (token) => {
      if (token.type === 'heading') headings.push([token.depth, token.text]);
      if (token.type === 'link') { await null; token.href = `https://example.org/to?${new URLSearchParams({ url: token.href })}`; }
    },
    renderer: { heading({ tokens, depth }) { return `<h${depth + 1}>${this.parser.parseInline(tokens)}</h${depth + 1}>\n`; } },
  });
  return { html: await marked.parse(text), headings };
};

export const tokens = (text) => new Marked().lexer(text);

export const repeated = ({ text, times }) => new Marked().parse(text.repeat(times)).length;
