// Package export_skillhost_skill_undo is where the generated exports find what the component takes back.
package export_skillhost_skill_undo

import (
	types "skillhost/internal/bindings/skillhost_skill_types"
	wit "skillhost/internal/wit/types"
)

var Undo func(
	ctx types.Context, name string, arguments, token wit.Option[string], force bool,
) wit.Result[wit.Unit, types.Failure]
