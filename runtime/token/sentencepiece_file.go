package token

import (
	"errors"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// piece is a token of sentencepiece, and these are the types that it can have.
type piece struct {
	text  string
	score float32
	kind  uint64
}

const (
	normalPiece  = 1
	unknownPiece = 2
	controlPiece = 3
	userPiece    = 4
	unusedPiece  = 5
	bytePiece    = 6
)

// sentencePiece is what sentencepiece_model.proto says that decides ids.
type sentencePiece struct {
	pieces                            []piece
	model                             uint64 // 2: BPE
	byteFallback, suffix              bool
	bos, eos                          int
	normalizer                        string
	charsMap                          []byte
	dummyPrefix, removeExtra, escapes bool
}

// parseSentencePiece reads a ModelProto. Fields that are absent have the defaults of sentencepiece_model.proto.
func parseSentencePiece(b []byte) (*sentencePiece, error) {
	m := &sentencePiece{model: 1, bos: 1, eos: 2, dummyPrefix: true, removeExtra: true, escapes: true}
	err := fields(b, func(number protowire.Number, _ uint64, body []byte) error {
		switch number {
		case 1:
			p := piece{kind: normalPiece}
			m.pieces = append(m.pieces, p)
			return fields(body, func(number protowire.Number, value uint64, body []byte) error {
				p := &m.pieces[len(m.pieces)-1]
				switch number {
				case 1:
					p.text = string(body)
				case 2:
					p.score = math.Float32frombits(uint32(value))
				case 3:
					p.kind = value
				}
				return nil
			})
		case 2: // trainer_spec
			return fields(body, func(number protowire.Number, value uint64, _ []byte) error {
				switch number {
				case 3:
					m.model = value
				case 24:
					m.suffix = value != 0
				case 35:
					m.byteFallback = value != 0
				case 41:
					m.bos = int(int32(value))
				case 42:
					m.eos = int(int32(value))
				}
				return nil
			})
		case 3: // normalizer_spec
			return fields(body, func(number protowire.Number, value uint64, body []byte) error {
				switch number {
				case 1:
					m.normalizer = string(body)
				case 2:
					m.charsMap = body
				case 3:
					m.dummyPrefix = value != 0
				case 4:
					m.removeExtra = value != 0
				case 5:
					m.escapes = value != 0
				}
				return nil
			})
		}
		return nil
	})
	if err == nil && len(m.pieces) == 0 {
		err = errors.New("it has no pieces")
	}
	return m, err
}

// fields calls visit for every field of a message: value holds a number, body bytes.
func fields(b []byte, visit func(number protowire.Number, value uint64, body []byte) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		var value uint64
		var body []byte
		switch kind {
		case protowire.VarintType:
			value, n = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(b)
			value = uint64(v)
		case protowire.BytesType:
			body, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		if err := visit(number, value, body); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}
