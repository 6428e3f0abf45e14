#!/usr/bin/env python3
"""Makes a bundle of packages look up nothing that a module can change and that would be handed their own functions and
objects. Methods of arrays, functions and the like are called by way of `untouched` (untouched.js), which is put in
front, and loops go through arrays by it. Statics are the bundler's to replace (worker/meson.build).

usage: untouched.py OUTPUT UNTOUCHED BUNDLE
"""
import re
import sys

METHODS = (
    'at concat copyWithin entries every fill filter find findIndex findLast findLastIndex flat flatMap forEach includes '
    'indexOf join keys lastIndexOf map pop push reduce reduceRight reverse shift slice some sort splice unshift values '
    'apply bind call addEventListener removeEventListener register unregister'
).split()
CALL = re.compile(r'\.(' + '|'.join(METHODS) + r')\(')
LOOP = re.compile(r'(?<![\w$.])for\((?:const|let|var) ?(?:[\w$]+|\[[^\]]*\]|\{[^}]*\}) ?of(?![\w$]) ?')
# Words that are no part of the receiver that follows them.
KEYWORDS = set('await case delete do else if in instanceof new of return super throw typeof untouched void while with '
               'yield for switch catch function'.split())
BEFORE_EXPRESSION = re.compile(
    r'(^|[^\w$)\]}]|(?<![\w$.])(return|typeof|case|in|of|delete|void|throw|new|else|do|await|yield|instanceof))$')


def end_of_string(text, at):
    quote = text[at]
    at += 1
    while text[at] != quote:
        at += 2 if text[at] == '\\' else 1
    return at + 1


def end_of_template(text, at):
    at += 1
    while text[at] != '`':
        if text[at] == '\\':
            at += 2
        elif text.startswith('${', at):
            depth, at = 1, at + 2
            while depth:
                if text[at] in '"\'':
                    at = end_of_string(text, at)
                elif text[at] == '`':
                    at = end_of_template(text, at)
                else:
                    depth += {'{': 1, '}': -1}.get(text[at], 0)
                    at += 1
        else:
            at += 1
    return at + 1


def end_of_regular_expression(text, at):
    at, in_class = at + 1, False
    while in_class or text[at] != '/':
        if text[at] == '\\':
            at += 1
        elif text[at] == '[':
            in_class = True
        elif text[at] == ']':
            in_class = False
        at += 1
    return at + 1


def masked(text):
    """The same text, of the same length, with letters for what is in strings, templates, regular expressions and
    comments, so that brackets are brackets."""
    done, at = [], 0
    begin = 0
    while at < len(text):
        c, end = text[at], None
        if c in '"\'':
            end = end_of_string(text, at)
        elif c == '`':
            end = end_of_template(text, at)
        elif text.startswith('//', at):
            end = text.index('\n', at)
        elif text.startswith('/*', at):
            end = text.index('*/', at) + 2
        elif c == '/':
            before = (''.join(done[-3:]) + text[begin:at])[-16:].rstrip()
            if BEFORE_EXPRESSION.search(before):
                end = end_of_regular_expression(text, at)
        if end is None:
            at += 1
            continue
        done += [text[begin:at], '\x01' * (end - at)]
        at = begin = end
    done.append(text[begin:])
    return ''.join(done)


def brackets(code):
    """Where the bracket is that belongs to each one."""
    partner, open_ones = {}, []
    for at, c in enumerate(code):
        if c in '([{':
            open_ones.append(at)
        elif c in ')]}':
            begin = open_ones.pop()
            partner[begin], partner[at] = at, begin
    return partner


def receiver_start(code, partner, end):
    """Where the receiver begins that ends at `end`; None: it is not plain enough to be moved."""
    at = end
    while True:
        if at and code[at - 1] in ')]':
            at = partner[at - 1]
            if at and (code[at - 1] in ')]' or re.match(r'[\w$]', code[at - 1])):
                continue
            if code[at] == '[':
                return None  # a literal, or a class's computed name
            return at if at and code[at - 1] in '(,=:[!&|?;{>+' else None
        word = re.search(r'#?[A-Za-z_$][\w$]*$', code[max(0, at - 80):at])
        if word is None:
            return None
        at -= len(word[0])
        if at and code[at - 1] == '.':
            if at > 1 and code[at - 2] in '?.\x01':
                return None
            at -= 1
            continue
        if word[0] in KEYWORDS or word[0].startswith('#') or (at and code[at - 1] == '\x01'):
            return None
        before = re.search(r'([\w$]+) $', code[max(0, at - 20):at])
        return None if before is not None and before[1] in ('new', 'function', 'class', 'get', 'set', 'async') else at


def rewritten(text):
    code = masked(text)
    partner = brackets(code)
    removed = {}   # where: (length, what is there instead)
    inserted = {}  # where: texts, the last one first
    for call in CALL.finditer(code):
        start = receiver_start(code, partner, call.start())
        if start is None:
            continue
        has_arguments = code[call.end()] != ')'
        removed[call.start()] = (call.end() - call.start(), ',' if has_arguments else '')
        inserted.setdefault(start, []).append(f'untouched.methods.{call[1]}(')
    for loop in LOOP.finditer(code):
        end = partner[code.index('(', loop.start())]
        inserted.setdefault(loop.end(), []).append('untouched.each(')
        inserted.setdefault(end, []).append(')')
        if code[loop.end() - 1] == 'f':
            inserted[loop.end()].append(' ')
    done, last = [], 0
    for at in sorted(removed.keys() | inserted.keys()):
        done.append(text[last:at])
        done += reversed(inserted.get(at, []))
        length, instead = removed.get(at, (0, ''))
        done.append(instead)
        last = at + length
    done.append(text[last:])
    return ''.join(done)


def main():
    output, untouched, bundle = sys.argv[1:]
    with open(bundle, encoding='ascii') as file:
        text = file.read()
    with open(untouched, encoding='ascii') as file:
        front = file.read()
    with open(output, 'w', encoding='ascii') as file:
        file.write(front + rewritten(text))


main()
