package table

import "reflect"

// Number is the value of a column of a row; nil where it is null, holds no single number or is no column of the table.
func Number[R Row](row *R, column string) *float64 {
	v := reflect.ValueOf(row).Elem()
	for i := range v.NumField() {
		if columnOf(v.Type().Field(i)) != column {
			continue
		}
		f := v.Field(i)
		if f.Kind() == reflect.Pointer {
			if f.IsNil() {
				return nil
			}
			f = f.Elem()
		}
		var x float64
		switch {
		case f.CanInt():
			x = float64(f.Int())
		case f.CanFloat():
			x = f.Float()
		default:
			return nil
		}
		return &x
	}
	return nil
}

// Numbers are the columns of a table that hold single numbers, in their order.
func Numbers[R Row]() (names []string) {
	for f := range reflect.TypeFor[R]().Fields() {
		kind := f.Type.Kind()
		if kind == reflect.Pointer {
			kind = f.Type.Elem().Kind()
		}
		switch kind {
		case reflect.Int32, reflect.Int64, reflect.Float64:
			names = append(names, columnOf(f))
		}
	}
	return names
}
