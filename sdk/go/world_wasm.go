package skillhost

import (
	"log/slog"

	"skillhost/internal/bindings/skillhost_skill_host"
	"skillhost/internal/bindings/skillhost_skill_secrets"
	types "skillhost/internal/bindings/skillhost_skill_types"
	"skillhost/internal/bindings/wasi_config_store"
	"skillhost/internal/bindings/wasi_keyvalue_store"
	"skillhost/internal/bindings/wasi_logging_logging"
	// What the host calls.
	_ "skillhost/internal/bindings/wit_exports"
	wit "skillhost/internal/wit/types"
	"skillhost/internal/world"
)

func init() {
	world.Now = component{}
	slog.SetDefault(Log)
}

// component is the world of a component: the host's interfaces.
type component struct{}

func (component) Progress(done float64, total *float64, message *string) {
	skillhost_skill_host.Progress(done, optional(total), optional(message))
}

func (component) Cancelled() bool { return skillhost_skill_host.Cancelled() }

func (component) Changed(what string) error {
	switch what {
	case "tools":
		return done(skillhost_skill_host.ToolsChanged(), refused)
	case "prompts":
		return done(skillhost_skill_host.PromptsChanged(), refused)
	default:
		return done(skillhost_skill_host.ResourcesChanged(), refused)
	}
}

func (component) ResourceUpdated(uri string) error {
	return done(skillhost_skill_host.ResourceUpdated(uri), refused)
}

func (component) PrepareUndo(token string) error {
	return done(skillhost_skill_host.PrepareUndo(token), refused)
}

func (component) CallTool(name string, arguments *string) (types.Reply, error) {
	return got(skillhost_skill_host.CallTool(name, optional(arguments)), func(e skillhost_skill_host.CallError) error {
		switch e.Tag() {
		case skillhost_skill_host.CallErrorRefused:
			return refused(e.Refused())
		case skillhost_skill_host.CallErrorFailed:
			return world.Failed{Failure: e.Failed()}
		default:
			return &world.Error{Kind: "ended", Message: e.Ended()}
		}
	})
}

func (component) Secret(name string) (string, error) {
	return got(skillhost_skill_secrets.Get(name), refused)
}

func (component) Config(key string) (string, bool, error) {
	return maybe(wasi_config_store.Get(key), unread)
}

func (component) AllConfig() (map[string]string, error) {
	all, err := got(wasi_config_store.GetAll(), unread)
	settings := make(map[string]string, len(all))
	for _, pair := range all {
		settings[pair.F0] = pair.F1
	}
	return settings, err
}

func (component) Get(key string) ([]byte, bool, error) {
	bucket, err := bucket()
	if err != nil {
		return nil, false, err
	}
	defer bucket.Drop()
	return maybe(bucket.Get(key), unkept)
}

func (component) Set(key string, value []byte) error {
	bucket, err := bucket()
	if err != nil {
		return err
	}
	defer bucket.Drop()
	return done(bucket.Set(key, value), unkept)
}

func (component) Delete(key string) error {
	bucket, err := bucket()
	if err != nil {
		return err
	}
	defer bucket.Drop()
	return done(bucket.Delete(key), unkept)
}

func (component) Has(key string) (bool, error) {
	bucket, err := bucket()
	if err != nil {
		return false, err
	}
	defer bucket.Drop()
	return got(bucket.Exists(key), unkept)
}

func (component) Keys() ([]string, error) {
	bucket, err := bucket()
	if err != nil {
		return nil, err
	}
	defer bucket.Drop()
	var keys []string
	cursor := wit.None[uint64]()
	for {
		page, err := got(bucket.ListKeys(cursor), unkept)
		if err != nil {
			return nil, err
		}
		keys, cursor = append(keys, page.Keys...), page.Cursor
		if cursor.IsNone() {
			return keys, nil
		}
	}
}

func (component) Log(level uint8, message string) { wasi_logging_logging.Log(level, "", message) }

func bucket() (*wasi_keyvalue_store.Bucket, error) { return got(wasi_keyvalue_store.Open(""), unkept) }

func refused(e skillhost_skill_host.HostError) error {
	switch e.Tag() {
	case skillhost_skill_host.HostErrorNotOffered:
		return &world.Error{Kind: "not-offered", Message: e.NotOffered()}
	case skillhost_skill_host.HostErrorDenied:
		return &world.Error{Kind: "denied", Message: e.Denied()}
	case skillhost_skill_host.HostErrorInvalid:
		return &world.Error{Kind: "invalid", Message: e.Invalid()}
	default:
		return &world.Error{Kind: "unavailable", Message: e.Unavailable()}
	}
}

func unread(e wasi_config_store.Error) error {
	if e.Tag() == wasi_config_store.ErrorUpstream {
		return &world.Error{Kind: "unavailable", Message: e.Upstream()}
	}
	return &world.Error{Kind: "unavailable", Message: e.Io()}
}

func unkept(e wasi_keyvalue_store.Error) error {
	switch e.Tag() {
	case wasi_keyvalue_store.ErrorNoSuchStore:
		return &world.Error{Kind: "not-offered", Message: "there is no such store"}
	case wasi_keyvalue_store.ErrorAccessDenied:
		return &world.Error{Kind: "denied", Message: "the key-value bucket was not granted"}
	default:
		return &world.Error{Kind: "other", Message: e.Other()}
	}
}

func got[T, E any](result wit.Result[T, E], problem func(E) error) (T, error) {
	if result.IsErr() {
		var none T
		return none, problem(result.Err())
	}
	return result.Ok(), nil
}

func done[E any](result wit.Result[wit.Unit, E], problem func(E) error) error {
	_, err := got(result, problem)
	return err
}

func maybe[T, E any](result wit.Result[wit.Option[T], E], problem func(E) error) (T, bool, error) {
	option, err := got(result, problem)
	var none T
	if err != nil {
		return none, false, err
	}
	return option.SomeOr(none), option.IsSome(), nil
}
