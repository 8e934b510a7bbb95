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

// SchemaOf is the schema of a type as encoding/json reads it. A field of a struct is required, unless it is a pointer or its
// json tag has omitempty or omitzero. The tag doc describes a field, the tag enum lists its values, parted by commas.
//
// It panics for what JSON cannot be made of, such as a channel.
func SchemaOf[T any]() Schema {
	s := schemas{open: map[reflect.Type]bool{}, defs: map[reflect.Type]Schema{}, names: map[string]reflect.Type{}}
	t := indirect(reflect.TypeFor[T]())
	root := s.of(t)
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
	marshaler = reflect.TypeFor[json.Unmarshaler]()
	texts     = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func (s *schemas) of(t reflect.Type) Schema {
	t = indirect(t)
	switch {
	case t == reflect.TypeFor[time.Time]():
		return Schema{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.Number]():
		return Schema{"type": "number"}
	case t == reflect.TypeFor[json.RawMessage](), reflect.PointerTo(t).Implements(marshaler):
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
			return Schema{"type": "string", "contentEncoding": "base64"}
		}
		return Schema{"type": "array", "items": s.of(t.Elem())}
	case reflect.Array:
		return Schema{"type": "array", "items": s.of(t.Elem()), "minItems": t.Len(), "maxItems": t.Len()}
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			panic(fmt.Sprintf("the keys of %s are no texts", t))
		}
		return Schema{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Struct:
		return s.object(t)
	default:
		panic(fmt.Sprintf("there is no JSON for %s", t))
	}
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
	properties, required := Schema{}, []string{}
	s.fields(t, properties, &required)
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

func (s *schemas) fields(t reflect.Type, properties Schema, required *[]string) {
	for i := range t.NumField() {
		field := t.Field(i)
		tag := field.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		if embedded := indirect(field.Type); field.Anonymous && name == "" && embedded.Kind() == reflect.Struct {
			s.fields(embedded, properties, required)
			continue
		}
		if !field.IsExported() || tag == "-" {
			continue
		}
		if name == "" {
			name = field.Name
		}
		schema := s.of(field.Type)
		if doc := field.Tag.Get("doc"); doc != "" {
			schema["description"] = doc
		}
		if values := field.Tag.Get("enum"); values != "" {
			schema["enum"] = strings.Split(values, ",")
		}
		properties[name] = schema
		given := strings.Split(options, ",")
		optional := slices.Contains(given, "omitempty") || slices.Contains(given, "omitzero")
		if !optional && field.Type.Kind() != reflect.Pointer {
			*required = append(*required, name)
		}
	}
}

func indirect(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}
