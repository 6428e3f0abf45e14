import Mustache from 'mustache';

export const render = ({ template, view, partials }) => Mustache.render(template, view, partials);

export const lambdas = ({ names }) => Mustache.render(
  '{{#names}}{{#shout}}{{.}}, {{/shout}}{{/names}}{{^nobody}}nobody{{/nobody}}|{{upper}}',
  { names, shout: () => (text, render) => render(text).toUpperCase(), upper() { return this.names.length; } });

export const tags = (template) => Mustache.parse(template, ['<%', '%>']);

export const rows = (count) => Mustache.render('{{#rows}}<li>{{name}}: {{{raw}}}</li>{{/rows}}',
  { rows: Array.from({ length: count }, (_, index) => ({ name: `<${index}>`, raw: '&' })) }).length;
