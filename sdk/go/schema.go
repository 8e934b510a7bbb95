package skillhost

import (
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Schema is a JSON Schema 2020-12.
type Schema = map[string]any

// SchemaOf is the schema of a type as encoding/json reads and writes it. A field of a struct is required, unless it is a pointer
// or its json tag has omitempty or omitzero. What may be nil may be null. The tag doc describes a field, the tag enum lists its
// values, parted by commas.
//
// It panics for what JSON cannot be made of, such as a channel, and where encoding/json would leave out a field without a word.
func SchemaOf[T any]() Schema {
	s := schemas{open: map[reflect.Type]bool{}, defs: map[reflect.Type]Schema{}, names: map[string]reflect.Type{}}
	t := indirect(reflect.TypeFor[T]())
	// A whole value is there.
	root := notNull(s.of(t)).(Schema)
	if own, ok := s.defs[t]; ok {
		root = maps.Clone(own)
	}
	if len(s.defs) > 0 {
		defs := Schema{}
		for t, schema := range s.defs {
			defs[t.Name()] = schema
		}
		root["$defs"] = defs
	}
	return root
}

// schemas knows the types that are within themselves.
type schemas struct {
	open  map[reflect.Type]bool
	defs  map[reflect.Type]Schema
	names map[string]reflect.Type
}

var (
	unmarshaler = reflect.TypeFor[json.Unmarshaler]()
	texts       = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func (s *schemas) of(t reflect.Type) Schema {
	if t.Kind() == reflect.Pointer {
		return orNull(s.of(indirect(t)))
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		return Schema{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.Number]():
		return Schema{"type": "number"}
	case t == reflect.TypeFor[json.RawMessage](), reflect.PointerTo(t).Implements(unmarshaler):
		// Anything: it knows itself.
		return Schema{}
	case reflect.PointerTo(t).Implements(texts):
		return Schema{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Bool:
		return Schema{"type": "boolean"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return Schema{"type": "integer"}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return Schema{"type": "integer", "minimum": 0}
	case reflect.Float32, reflect.Float64:
		return Schema{"type": "number"}
	case reflect.String:
		return Schema{"type": "string"}
	case reflect.Interface:
		return Schema{}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return orNull(Schema{"type": "string", "contentEncoding": "base64"})
		}
		return orNull(Schema{"type": "array", "items": s.of(t.Elem())})
	case reflect.Array:
		return Schema{"type": "array", "items": s.of(t.Elem()), "minItems": t.Len(), "maxItems": t.Len()}
	case reflect.Map:
		if kind := t.Key().Kind(); kind != reflect.String && (kind < reflect.Int || kind > reflect.Uint64) {
			panic(fmt.Sprintf("the keys of %s are no names", t))
		}
		return orNull(Schema{"type": "object", "additionalProperties": s.of(t.Elem())})
	case reflect.Struct:
		return s.object(t)
	default:
		panic(fmt.Sprintf("there is no JSON for %s", t))
	}
}

// orNull is a schema that null matches, too.
func orNull(schema Schema) Schema {
	if kind, plain := schema["type"].(string); plain {
		schema["type"] = []string{kind, "null"}
		return schema
	}
	if _, reference := schema["$ref"]; reference {
		return Schema{"anyOf": []Schema{schema, {"type": "null"}}}
	}
	return schema
}

func (s *schemas) object(t reflect.Type) Schema {
	if s.open[t] {
		if other, taken := s.names[t.Name()]; taken && other != t {
			panic(fmt.Sprintf("%s and %s are within themselves, and called alike", t, other))
		}
		s.names[t.Name()], s.defs[t] = t, nil
		return Schema{"$ref": "#/$defs/" + t.Name()}
	}
	s.open[t] = true
	defer delete(s.open, t)
	properties, required := s.fields(t)
	object := Schema{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		object["required"] = required
	}
	if _, within := s.defs[t]; within {
		s.defs[t] = object
		return Schema{"$ref": "#/$defs/" + t.Name()}
	}
	return object
}

// fields are those that encoding/json knows: promoted ones of embedded structs included, the least deep of a name.
func (s *schemas) fields(t reflect.Type) (properties Schema, required []string) {
	properties, required = Schema{}, []string{}
	depths := map[string]int{}
	var named [][]int
	for _, field := range reflect.VisibleFields(t) {
		tag := field.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		within := slices.ContainsFunc(named, func(outer []int) bool {
			return len(outer) < len(field.Index) && slices.Equal(outer, field.Index[:len(outer)])
		})
		if within || tag == "-" {
			continue
		}
		if field.Anonymous && indirect(field.Type).Kind() == reflect.Struct {
			if field.Type.Kind() == reflect.Pointer && !field.IsExported() {
				panic(fmt.Sprintf("%s: encoding/json cannot fill the embedded *%s", t, field.Name))
			}
			if name == "" {
				continue
			}
			named = append(named, field.Index)
		}
		if !field.IsExported() {
			continue
		}
		if name == "" {
			name = field.Name
		}
		depth, taken := depths[name]
		if taken && depth == len(field.Index) {
			panic(fmt.Sprintf("%s has several fields called %q", t, name))
		}
		if taken && depth < len(field.Index) {
			continue
		}
		depths[name] = len(field.Index)
		given := strings.Split(options, ",")
		properties[name] = s.field(field, slices.Contains(given, "string"))
		required = slices.DeleteFunc(required, func(other string) bool { return other == name })
		optional := slices.Contains(given, "omitempty") || slices.Contains(given, "omitzero")
		if !optional && field.Type.Kind() != reflect.Pointer {
			required = append(required, name)
		}
	}
	return properties, required
}

func (s *schemas) field(field reflect.StructField, quoted bool) Schema {
	schema := s.of(field.Type)
	if kind := indirect(field.Type).Kind(); quoted && (kind == reflect.Bool || kind >= reflect.Int && kind <= reflect.Float64) {
		schema = Schema{"type": "string"}
	}
	if doc := field.Tag.Get("doc"); doc != "" {
		schema["description"] = doc
	}
	if values := field.Tag.Get("enum"); values != "" {
		if kind := indirect(field.Type).Kind(); kind != reflect.String {
			panic(fmt.Sprintf("%s: the tag enum is for texts, not for %s", field.Name, field.Type))
		}
		all := []any{}
		for _, value := range strings.Split(values, ",") {
			all = append(all, value)
		}
		if field.Type.Kind() == reflect.Pointer {
			all = append(all, nil)
		}
		schema["enum"] = all
	}
	return schema
}

func indirect(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}
