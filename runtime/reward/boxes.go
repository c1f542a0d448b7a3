package reward

import (
	"strconv"
	"strings"
	"unicode"
)

// foundBox is one box as it was written, in the coordinates of its text.
type foundBox struct {
	xy    [4]float64 // x1, y1, x2, y2
	valid bool       // four numbers stood there
}

// scanBoxes finds boxes in an answer, in order of appearance. It knows
//
//	{"bbox_2d": [x1, y1, x2, y2], "label": "..."}   alone, in a list, in a code fence, with single quotes
//	[x1, y1, x2, y2]   [[...], [...]]   (x1, y1, x2, y2)   (x1, y1), (x2, y2)
//	{"x_min": .., "y_min": .., "x_max": .., "y_max": ..}   also x1 y1 x2 y2, in any order
//	<box>[[x1, y1, x2, y2]]</box>   <|box_start|>(x1,y1),(x2,y2)<|box_end|>, with <ref>label</ref> before them
//	x1, y1, x2, y2   where the answer holds nothing else
//
// with decimals, signs and exponents. A [list] of a wrong number of numbers is an invalid box and keeps its place, so
// that a malformed first box is not skipped over. Numbers in quotes and under other keys than a box's ("score", "label")
// are not looked at. empty reports an explicit empty list, the way to say that there is no box.
func scanBoxes(s string) (boxes []foundBox, empty bool) {
	p := boxScanner{text: []rune(s)}
	root := p.group(0, 0)
	root.collect(&boxes)
	if len(boxes) == 0 && p.bare && len(root.numbers) == 4 && len(root.children) == 0 {
		boxes = append(boxes, fourNumbers(root.numbers))
	}
	return boxes, len(boxes) == 0 && p.emptyList
}

// group is a bracketed part of the text, or the whole text.
type group struct {
	open     rune   // '[', '(' or '{'; 0 for the whole text
	key      string // key that the group stands under, lower case
	numbers  []float64
	keyed    map[string]float64 // numbers with a key
	children []*group
}

// maxDepth bounds the nesting that is followed; deeper brackets are read as if they were not there.
const maxDepth = 32

type boxScanner struct {
	text      []rune
	at        int
	bare      bool // nothing but numbers and separators was seen
	emptyList bool // a [] was seen
}

// group reads up to the closing bracket of the group that was opened by open.
func (p *boxScanner) group(open rune, depth int) *group {
	g := &group{open: open, keyed: map[string]float64{}}
	if depth == 0 {
		p.bare = true
	}
	key := ""
	start := p.at
	for p.at < len(p.text) {
		r := p.text[p.at]
		switch {
		case strings.ContainsRune("[({", r) && depth < maxDepth:
			p.at++
			child := p.group(r, depth+1)
			child.key, key = key, ""
			g.children = append(g.children, child)
		case strings.ContainsRune("])}", r) && open != 0:
			if r == ']' && open == '[' && len(g.numbers) == 0 && len(g.children) == 0 && blank(p.text[start:p.at]) {
				p.emptyList = true
			}
			p.at++
			return g
		case r == '"' || r == '\'' && !p.inWord():
			key = p.keyAfter(p.quoted(r), key)
		case unicode.IsLetter(r) || r == '_':
			key = p.keyAfter(p.word(), key)
		case p.numberStarts():
			if x, ok := p.number(); ok {
				if key != "" {
					g.keyed[key] = x
					key = ""
				} else {
					g.numbers = append(g.numbers, x)
				}
			}
		default:
			if r == ',' {
				key = ""
			}
			p.at++
		}
	}
	return g
}

func blank(text []rune) bool { return strings.TrimSpace(string(text)) == "" }

// inWord reports an apostrophe inside or right behind a word, which is no quotation mark.
func (p *boxScanner) inWord() bool { return p.at > 0 && unicode.IsLetter(p.text[p.at-1]) }

// quoted reads a quoted text and returns its content; an unclosed quotation mark stands alone.
func (p *boxScanner) quoted(mark rune) string {
	p.bare = false
	for end := p.at + 1; end < len(p.text) && p.text[end] != '\n'; end++ {
		if p.text[end] == '\\' {
			end++
		} else if p.text[end] == mark {
			content := string(p.text[p.at+1 : end])
			p.at = end + 1
			return content
		}
	}
	p.at++
	return ""
}

// word reads a word of letters, digits and underscores: "x1" is a word, not a number.
func (p *boxScanner) word() string {
	p.bare = false
	start := p.at
	for p.at < len(p.text) && (unicode.IsLetter(p.text[p.at]) || unicode.IsDigit(p.text[p.at]) || p.text[p.at] == '_') {
		p.at++
	}
	return string(p.text[start:p.at])
}

// keyAfter returns name as the key in force if a colon or equals sign follows, else the key that was.
func (p *boxScanner) keyAfter(name, key string) string {
	for i := p.at; i < len(p.text); i++ {
		switch r := p.text[i]; {
		case unicode.IsSpace(r):
			continue
		case r == ':' || r == '=':
			p.at = i + 1
			return strings.ToLower(name)
		}
		break
	}
	return key
}

func (p *boxScanner) numberStarts() bool {
	isDigit := func(i int) bool { return i < len(p.text) && '0' <= p.text[i] && p.text[i] <= '9' }
	i := p.at
	if p.text[i] == '-' || p.text[i] == '+' {
		i++
	}
	if i < len(p.text) && p.text[i] == '.' {
		i++
	}
	return isDigit(i)
}

// number reads a decimal number; one out of range is read as infinite and so makes its box invalid.
func (p *boxScanner) number() (float64, bool) {
	start := p.at
	if p.text[p.at] == '-' || p.text[p.at] == '+' {
		p.at++
	}
	digits := func() {
		for p.at < len(p.text) && '0' <= p.text[p.at] && p.text[p.at] <= '9' {
			p.at++
		}
	}
	digits()
	if p.at < len(p.text) && p.text[p.at] == '.' {
		p.at++
		digits()
	}
	if p.at < len(p.text) && (p.text[p.at] == 'e' || p.text[p.at] == 'E') {
		mantissa := p.at
		p.at++
		if p.at < len(p.text) && (p.text[p.at] == '-' || p.text[p.at] == '+') {
			p.at++
		}
		exponent := p.at
		if digits(); p.at == exponent {
			p.at = mantissa
		}
	}
	x, err := strconv.ParseFloat(string(p.text[start:p.at]), 64)
	return x, err == nil || x != 0
}

// cornerKeys are the names of x1, y1, x2, y2 in objects.
var cornerKeys = [][4]string{{"x_min", "y_min", "x_max", "y_max"}, {"xmin", "ymin", "xmax", "ymax"}, {"x1", "y1", "x2", "y2"}}

// collect appends the boxes of the group and of what it contains.
func (g *group) collect(boxes *[]foundBox) {
	for _, keys := range cornerKeys {
		var b foundBox
		n := 0
		for i, k := range keys {
			if x, ok := g.keyed[k]; ok {
				b.xy[i] = x
				n++
			}
		}
		if n > 0 {
			b.valid = n == 4
			*boxes = append(*boxes, b)
		}
	}
	for i := 0; i < len(g.children); i++ {
		c := g.children[i]
		if g.open == '{' && !boxKey(c.key) && len(c.numbers) > 0 {
			continue
		}
		switch {
		case c.point() && i+1 < len(g.children) && g.children[i+1].point() && g.children[i+1].key == "":
			*boxes = append(*boxes, fourNumbers(append(c.numbers[:2:2], g.children[i+1].numbers...)))
			i++
		case len(c.numbers) == 4 && c.open != '{', len(c.numbers) > 0 && c.open == '[':
			*boxes = append(*boxes, fourNumbers(c.numbers))
		}
		c.collect(boxes)
	}
}

// boxKey reports whether a list of numbers under this key of an object is a box.
func boxKey(key string) bool {
	return strings.Contains(key, "box") || strings.Contains(key, "coord") || key == "answer"
}

// point reports a pair of numbers, one corner of a box.
func (g *group) point() bool { return len(g.numbers) == 2 && len(g.children) == 0 && g.open != '{' }

func fourNumbers(x []float64) foundBox {
	if len(x) != 4 {
		return foundBox{}
	}
	return foundBox{[4]float64(x), true}
}
