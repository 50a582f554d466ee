import * as core from 'echarts/core';
import { BarChart, LineChart, HeatmapChart, ScatterChart, CustomChart } from 'echarts/charts';
import { GridComponent, TooltipComponent, LegendComponent, VisualMapComponent, AriaComponent, DataZoomComponent } from 'echarts/components';
import { SVGRenderer } from 'echarts/renderers';
core.use([BarChart, LineChart, HeatmapChart, ScatterChart, CustomChart, GridComponent, TooltipComponent, LegendComponent, VisualMapComponent, AriaComponent, DataZoomComponent, SVGRenderer]);
window.echarts = { init: core.init, getInstanceByDom: core.getInstanceByDom };
