// Package tests tries the helper against a host that is played.
package tests

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"skillhost"
	export_tools "skillhost/internal/bindings/export_skillhost_skill_tools"
	"skillhost/skillhosttest"
)

type any_ = map[string]any

// now is what the tool `it` does in a test.
var now struct {
	run  func(call *skillhost.Call, in any_) (any, error)
	undo func(call *skillhost.Call, in any_, undo skillhost.Undo) error
}

type inner struct {
	At   time.Time `json:"at"`
	Next *inner    `json:"next"`
}

type whole struct {
	inner
	Name   string            `json:"name" doc:"Whose"`
	Kind   string            `json:"kind,omitempty" enum:"a,b"`
	Count  uint8             `json:"count"`
	Data   []byte            `json:"data"`
	Pair   [2]float64        `json:"pair"`
	Tags   map[string]string `json:"tags"`
	Free   any               `json:"free,omitzero"`
	Quoted int               `json:"quoted,string"`
	Hidden int               `json:"-"`
	secret int
}

func init() {
	skillhost.Add(skillhost.Tool[any_]{
		Name: "it", Description: "For tests.", Input: skillhost.Schema{"type": "object"},
		Run:  func(call *skillhost.Call, in any_) (any, error) { return now.run(call, in) },
		Undo: func(call *skillhost.Call, in any_, undo skillhost.Undo) error { return now.undo(call, in, undo) },
	})
	skillhost.Add(skillhost.Tool[struct{}]{
		Name: "told", Title: "Told", Description: "Says all.", ReadOnly: skillhost.Yes, OpenWorld: skillhost.No, Durable: true,
		Task: skillhost.TaskOptional, Reusable: true, Output: skillhost.SchemaOf[struct{}](),
		Run: func(*skillhost.Call, struct{}) (any, error) { return struct{}{}, nil },
	})
	skillhost.Add(skillhost.Tool[struct {
		Small uint8 `json:"small"`
	}]{
		Name: "typed", Description: "Takes a small number.", Run: func(_ *skillhost.Call, in struct {
			Small uint8 `json:"small"`
		}) (any, error) {
			return in.Small, nil
		},
	})
}

func run(t *testing.T, does func(call *skillhost.Call, in any_) (any, error)) *skillhosttest.Host {
	now.run = does

	return skillhosttest.New(t)
}

func panics(t *testing.T, part string, does func()) {
	t.Helper()
	defer func() {
		if said := fmt.Sprint(recover()); !strings.Contains(said, part) {
			t.Errorf("%q has no %q", said, part)
		}
	}()
	does()
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, want %#v", got, want)
	}
}

func asJSON(t *testing.T, got any, want string) {
	t.Helper()
	encoded, err := json.Marshal(got)
	if err != nil || string(encoded) != want {
		t.Errorf("got %s (%v), want %s", encoded, err, want)
	}
}

func TestADefinitionIsToldAsTheContractHasIt(t *testing.T) {
	specs := export_tools.List()
	same(t, len(specs), 3)
	same(t, []bool{specs[0].Undoable, specs[1].Undoable, specs[1].Durable}, []bool{true, false, true})
	told := specs[1]
	same(t, []string{told.Name, told.Title.Some(), told.Description.Some()}, []string{"told", "Told", "Says all."})
	same(t, told.InputSchema, `{"additionalProperties":false,"properties":{},"type":"object"}`)
	same(t, told.OutputSchema.Some(), told.InputSchema)
	hints := told.Annotations
	same(t, []bool{hints.ReadOnly.Some(), hints.OpenWorld.Some()}, []bool{true, false})
	same(t, []bool{hints.Destructive.IsNone(), hints.Idempotent.IsNone()}, []bool{true, true})
	same(t, told.Task, uint8(1))
	same(t, told.Meta.Some(), `{"skillhost/reusable":true}`)
	same(t, specs[0].Meta.IsNone(), true)
}

func TestWhatIsWrongInADefinitionEndsTheBuild(t *testing.T) {
	does := func(*skillhost.Call, struct{}) (any, error) { return nil, nil }
	for said, tool := range map[string]skillhost.Tool[struct{}]{
		"1 to 64 characters": {Name: "a b", Description: "x", Run: does},
		"no description":     {Name: "a", Description: " ", Run: does},
		"no Run":             {Name: "a", Description: "x"},
		"one already":        {Name: "it", Description: "x", Run: does},
	} {
		panics(t, said, func() { skillhost.Add(tool) })
	}
	panics(t, "no struct and no map", func() {
		skillhost.Add(skillhost.Tool[int]{
			Name: "int", Description: "x", Run: func(*skillhost.Call, int) (any, error) { return nil, nil },
		})
	})
	panics(t, "no JSON for", func() { skillhost.SchemaOf[chan int]() })
	panics(t, "no names", func() { skillhost.SchemaOf[map[bool]int]() })
	panics(t, "cannot fill", func() { skillhost.SchemaOf[struct{ *inner }]() })
	panics(t, "for texts", func() {
		skillhost.SchemaOf[struct {
			N int `enum:"1,2"`
		}]()
	})
}

func TestATypeHasItsSchema(t *testing.T) {
	asJSON(t, skillhost.SchemaOf[whole](), `{"$defs":{"inner":{"additionalProperties":false,"properties":`+
		`{"at":{"format":"date-time","type":"string"},"next":{"anyOf":[{"$ref":"#/$defs/inner"},{"type":"null"}]}},"required":["at"],"type":"object"}},`+
		`"additionalProperties":false,"properties":{"at":{"format":"date-time","type":"string"},"count":{"minimum":0,"type":"integer"},`+
		`"data":{"contentEncoding":"base64","type":["string","null"]},"free":{},"kind":{"enum":["a","b"],"type":"string"},`+
		`"name":{"description":"Whose","type":"string"},"next":{"anyOf":[{"$ref":"#/$defs/inner"},{"type":"null"}]},`+
		`"pair":{"items":{"type":"number"},"maxItems":2,"minItems":2,"type":"array"},"quoted":{"type":"string"},`+
		`"tags":{"additionalProperties":{"type":"string"},"type":["object","null"]}},`+
		`"required":["at","name","count","data","pair","tags","quoted"],"type":"object"}`)
	asJSON(t, skillhost.SchemaOf[inner]()["type"], `"object"`)
	asJSON(t, skillhost.SchemaOf[map[string]*int](), `{"additionalProperties":{"type":["integer","null"]},"type":"object"}`)
}

// Each value of a type matches the type's schema, as far as kinds go: the zero value is where that is easily forgotten.
func TestAZeroValueMatchesItsSchema(t *testing.T) {
	schema := skillhost.SchemaOf[shadowed]()
	encoded, _ := json.Marshal(shadowed{})
	var object map[string]any
	if err := json.Unmarshal(encoded, &object); err != nil {
		t.Fatal(err)
	}
	properties := schema["properties"].(skillhost.Schema)
	same(t, len(properties), len(object))
	for name, value := range object {
		told, _ := json.Marshal(properties[name].(skillhost.Schema)["type"])
		kind := map[bool]string{true: "null", false: fmt.Sprintf("%T", value)}[value == nil]
		kind = map[string]string{"float64": "integer", "string": "string", "null": "null"}[kind]
		if !strings.Contains(string(told), kind) {
			t.Errorf("%s is %s, and its schema says %s", name, kind, told)
		}
	}
	asJSON(t, schema["required"], `["Name","List","Map","Bytes"]`)
}

type deep struct{ Name, Only string }

type shadowed struct {
	deep
	Name  int
	Only  *string
	List  []string
	Map   map[string]int
	Bytes []byte
}

func TestWhatAToolReturnsIsItsReply(t *testing.T) {
	for _, c := range []struct {
		value      any
		text, json string
		isError    bool
	}{
		{value: "a", text: "a"},
		{value: nil},
		{value: any_{"ü🧀": []any{1, nil}}, json: `{"ü🧀":[1,null]}`},
		{value: skillhost.SayNo("no"), text: "no", isError: true},
		{value: *skillhost.Say("by value"), text: "by value"},
		{value: "a\xffb", text: "a\uFFFDb"},
		{value: skillhost.Say("a").Text("b").JSON(1), text: "a\nb", json: "1"},
	} {
		host := run(t, func(*skillhost.Call, any_) (any, error) { return c.value, nil })
		got, err := host.Call("it", nil)
		same(t, err, nil)
		same(t, []any{got.Text, string(got.Structured), got.IsError}, []any{c.text, c.json, c.isError})
	}
	panics(t, "no JSON", func() {
		_, _ = run(t, func(*skillhost.Call, any_) (any, error) { return make(chan int), nil }).Call("it", nil)
	})
}

func TestEachKindOfFailureIsItself(t *testing.T) {
	for _, failure := range []error{
		skillhost.InvalidInput("a%d", 1), skillhost.Transient("100%"), skillhost.TransientFor(time.Second/2, "a"),
		skillhost.Permanent("a"), skillhost.Conflict("a"), skillhost.MissingCapability("roots", "sampling"),
	} {
		_, err := run(t, func(*skillhost.Call, any_) (any, error) { return "x", failure }).Call("it", nil)
		same(t, err, failure)
	}
	_, err := run(t, func(*skillhost.Call, any_) (any, error) {
		return nil, fmt.Errorf("while writing: %w", skillhost.Conflict("changed"))
	}).Call("it", nil)
	same(t, err, skillhost.Conflict("while writing: changed"))
	_, err = run(t, nil).Call("none", nil)
	same(t, err, skillhost.Permanent("there is no tool none"))
	_, err = run(t, nil).Call("typed", any_{"small": 300})
	same(t, err.(*skillhost.Failure).Kind, skillhost.KindInvalidInput)
	_, err = run(t, func(*skillhost.Call, any_) (any, error) {
		_, err := skillhost.Secret("s")
		return nil, fmt.Errorf("wanted it: %w", err)
	}).Call("it", nil)
	same(t, err, skillhost.Permanent("wanted it: denied: the secret s was not granted"))
	panics(t, "denied", func() {
		_, _ = run(t, func(*skillhost.Call, any_) (any, error) {
			if err := skillhost.Store.Set("k", nil); err != nil {
				return nil, err
			}
			_, err := skillhost.Secret("s")
			return nil, err
		}).Call("it", nil)
	})
	// Nobody knows what took effect.
	panics(t, "broken", func() {
		_, _ = run(t, func(*skillhost.Call, any_) (any, error) { return nil, errors.New("broken") }).Call("it", nil)
	})
}

func TestTheHostIsThere(t *testing.T) {
	kind := func(err error) string {
		var refused *skillhost.HostError
		var failed *skillhost.Failure
		if errors.As(err, &refused) {
			return refused.Error()
		}
		if errors.As(err, &failed) {
			return string(failed.Kind) + ": " + failed.Message
		}
		return fmt.Sprint(err)
	}
	host := run(t, func(*skillhost.Call, any_) (any, error) {
		skillhost.Progress(1, 2, "half")
		skillhost.Log.With("b", 1).WithGroup("g").Warn("a", "level", "d e\xff")
		big := []byte(strings.Repeat("ü", 10_000))
		if err := skillhost.Store.Set("k", big); err != nil {
			return nil, err
		}
		a, _ := skillhost.Config("a")
		none, _ := skillhost.Config("b")
		all, _ := skillhost.AllConfig()
		secret, _ := skillhost.Secret("s")
		_, denied := skillhost.Secret("t")
		kept, found, _ := skillhost.Store.Get("k")
		_, missing, _ := skillhost.Store.Get("other")
		has, _ := skillhost.Store.Has("k")
		keys, _ := skillhost.Store.Keys()
		var got any_
		var text string
		called := []string{
			kind(skillhost.CallTool("other_json", any_{"a": 1}, &got)), kind(skillhost.CallTool("other_text", nil, &text)),
			kind(skillhost.CallTool("other_fails", nil, nil)), kind(skillhost.CallTool("other_no", nil, nil)),
			kind(skillhost.CallTool("missing_tool", nil, nil)),
		}
		_ = skillhost.ToolsChanged()
		_ = skillhost.ResourceUpdated("a:b")
		return []any{a, none, all, secret, kind(denied), len(kept), found, missing, has, keys, skillhost.Cancelled(), got, text, called}, nil
	})
	host.Config = map[string]string{"a": "1"}
	host.Secrets = map[string]string{"s": "hidden"}
	host.Tools = map[string]func(json.RawMessage) (any, error){
		"other_json":  func(arguments json.RawMessage) (any, error) { return any_{"got": arguments}, nil },
		"other_text":  func(json.RawMessage) (any, error) { return "text", nil },
		"other_fails": func(json.RawMessage) (any, error) { return nil, skillhost.Conflict("changed") },
		"other_no":    func(json.RawMessage) (any, error) { return skillhost.SayNo("not today"), nil },
	}
	host.Cancel = true
	got, err := host.Call("it", nil)
	same(t, err, nil)
	same(t, string(got.Structured), `["1","",{"a":"1"},"hidden","denied: the secret t was not granted",20000,true,false,true,["k"],true,`+
		`{"got":{"a":1}},"text",["\u003cnil\u003e","\u003cnil\u003e","conflict: changed","permanent: other_no answers no: not today",`+
		`"denied: the test has no tool missing_tool"]]`)
	same(t, host.Progress, []skillhosttest.Progress{{Done: 1, Total: 2, Message: "half"}})
	same(t, host.Log, []skillhosttest.Line{{Level: "warn", Message: "a b=1 g.level=\"d e\\xff\""}})
	same(t, host.Changed, []string{"tools", "a:b"})
	same(t, string(host.Calls[0].Arguments), `{"a":1}`)
}

func TestACallIsTakenBackByItsToken(t *testing.T) {
	now.undo = func(_ *skillhost.Call, _ any_, undo skillhost.Undo) error {
		if undo.Force {
			return skillhost.Conflict("forced")
		}
		var was []byte
		if undo.Token != nil {
			if err := json.Unmarshal(undo.Token, &was); err != nil {
				return err
			}
		}
		if was == nil {
			return skillhost.Store.Delete("k")
		}
		return skillhost.Store.Set("k", was)
	}
	host := run(t, func(_ *skillhost.Call, in any_) (any, error) {
		was, _, _ := skillhost.Store.Get("k")
		if err := skillhost.PrepareUndo(was); err != nil {
			return nil, err
		}
		return nil, skillhost.Store.Set("k", []byte(in["value"].(string)))
	})
	host.Values["k"] = []byte("before")
	got, err := host.Call("it", any_{"value": "after"})
	same(t, err, nil)
	same(t, string(host.Values["k"]), "after")
	same(t, host.Undo("it", nil, got.UndoToken, false), nil)
	same(t, string(host.Values["k"]), "before")
	same(t, host.Undo("it", nil, nil, false), nil)
	same(t, len(host.Values), 0)
	same(t, host.Undo("it", nil, nil, true), skillhost.Conflict("forced"))
	same(t, host.Undo("told", nil, nil, true), skillhost.Permanent("told takes nothing back"))
	now.undo = func(call *skillhost.Call, _ any_, _ skillhost.Undo) error {
		_, err := call.AskRoots()
		return err
	}
	host.Answers = map[string]any{"roots": nil}
	same(t, host.Undo("it", nil, nil, true), skillhost.Permanent("nobody can be asked while a call is taken back"))
}

func TestQuestionsAreAskedAndAnswersRemembered(t *testing.T) {
	rounds := 0
	asks := func(call *skillhost.Call, _ any_) (any, error) {
		rounds++
		form, err := call.AskForm("sure", "Sure?", skillhost.SchemaOf[struct {
			Yes bool `json:"yes"`
		}]())
		if err != nil {
			return nil, err
		}
		roots, err := call.AskRoots()
		if err != nil {
			return nil, fmt.Errorf("wrapped: %w", err)
		}
		said, err := call.AskModel("model", any_{"messages": []any{}, "maxTokens": 1})
		if err != nil {
			return nil, err
		}
		return []any{form, roots, said, call.Round}, nil
	}
	host := run(t, asks)
	host.Answers = map[string]any{
		"sure":  skillhost.Form{Action: skillhost.Accept, Content: json.RawMessage(`{"yes":true}`)},
		"roots": []skillhost.Root{{URI: "file:///a"}}, "model": any_{"model": "m"},
	}
	got, err := host.Call("it", nil)
	same(t, err, nil)
	same(t, string(got.Structured), `[{"action":"accept","content":{"yes":true}},[{"uri":"file:///a"}],{"model":"m"},4]`)
	same(t, rounds, 4)
	_, err = run(t, asks).Call("it", nil)
	same(t, err, skillhost.MissingCapability("elicitation"))
}

func TestSeveralQuestionsTakeOneRound(t *testing.T) {
	host := run(t, func(call *skillhost.Call, _ any_) (any, error) {
		answers, err := call.AskAll(map[string]skillhost.Question{
			"a": skillhost.FormOf("A?", skillhost.Schema{"type": "object"}), "b": skillhost.RootsOf(),
		})
		return []any{answers, call.Round}, err
	})
	host.Answers = map[string]any{"a": skillhost.Form{Action: skillhost.Decline}, "b": []skillhost.Root{}}
	got, err := host.Call("it", nil)
	same(t, err, nil)
	same(t, string(got.Structured), `[{"a":{"action":"decline"},"b":[]},2]`)
}
