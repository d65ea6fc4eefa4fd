"use strict";(self.rspackChunkbatchspawner=self.rspackChunkbatchspawner||[]).push([[700],{646(e,o,t){var r=t(601),n=t.n(r),a=t(314),i=(t.n(a))()(n());i.push([e.id,`/* Colours are those of JupyterLab's theme. */

.jp-bs-Panel {
  background: var(--jp-layout-color1);
  color: var(--jp-ui-font-color1);
  font-size: var(--jp-ui-font-size1);
  min-width: 240px;
  overflow-y: auto;
}

.jp-bs-Panel-head,
.jp-bs-Job-line {
  align-items: center;
  display: flex;
  gap: 6px;
}

.jp-bs-Panel-head {
  border-bottom: 1px solid var(--jp-border-color2);
  padding: 4px 8px 4px 12px;
}

.jp-bs-Panel-head h2,
.jp-bs-Server h3 {
  flex: 1;
  font-size: var(--jp-ui-font-size1);
  font-weight: 600;
  margin: 0;
}

.jp-bs-Server {
  border-bottom: 1px solid var(--jp-border-color2);
  padding: 8px 12px;
}

.jp-bs-left strong {
  font-size: var(--jp-ui-font-size2);
  font-variant-numeric: tabular-nums;
}

.jp-bs-Meter {
  align-items: center;
  display: grid;
  gap: 8px;
  grid-template-columns: minmax(4.5em, max-content) 1fr minmax(7em, auto);
  margin-top: 2px;
}

.jp-bs-Meter meter {
  min-width: 0;
  width: 100%;
}

.jp-bs-Section > summary {
  background: var(--jp-layout-color2);
  cursor: pointer;
  font-weight: 600;
  padding: 4px 12px;
}

.jp-bs-count {
  color: var(--jp-ui-font-color2);
  font-weight: normal;
}

.jp-bs-Panel ul {
  list-style: none;
  margin: 0;
  padding: 0;
}

.jp-bs-Job {
  border-bottom: 1px solid var(--jp-border-color3);
  content-visibility: auto;
  contain-intrinsic-size: auto 52px;
  padding: 5px 12px;
}

.jp-bs-Job-name,
.jp-bs-link,
.jp-bs-more {
  background: none;
  border: 0;
  color: inherit;
  cursor: pointer;
  font: inherit;
  padding: 0;
  text-align: left;
}

.jp-bs-Job-name {
  flex: 1;
  overflow: hidden;
  text-overflow: ellipsis;
  white-space: nowrap;
}

.jp-bs-Job-name::before {
  color: var(--jp-ui-font-color2);
  content: '▸';
  display: inline-block;
  width: 14px;
}

.jp-bs-Job-name[aria-expanded='true']::before {
  content: '▾';
}

.jp-bs-Job-name[aria-expanded='true'] {
  white-space: normal;
}

.jp-bs-link {
  color: var(--jp-content-link-color, var(--jp-brand-color1));
  text-decoration: underline;
}

.jp-bs-more {
  color: var(--jp-content-link-color, var(--jp-brand-color1));
  padding: 6px 12px;
}

.jp-bs-Job-name:focus-visible,
.jp-bs-link:focus-visible,
.jp-bs-more:focus-visible,
.jp-bs-Section > summary:focus-visible,
.jp-bs-Status button:focus-visible {
  outline: 2px solid var(--jp-brand-color1);
  outline-offset: 1px;
}

.jp-bs-State {
  border: 1px solid var(--jp-border-color1);
  border-radius: 9px;
  color: var(--jp-ui-font-color1);
  font-size: var(--jp-ui-font-size0);
  padding: 0 7px;
  white-space: nowrap;
}

.jp-bs-State[data-state='RUNNING'] {
  border-color: var(--jp-success-color1);
}

.jp-bs-State[data-state='PENDING'],
.jp-bs-State[data-state='HELD'],
.jp-bs-State[data-state='SUSPENDED'] {
  border-color: var(--jp-warn-color1);
}

.jp-bs-State[data-state='FAILED'],
.jp-bs-State[data-state='TIMEOUT'],
.jp-bs-State[data-state='OUT_OF_MEMORY'],
.jp-bs-State[data-state='NODE_FAIL'] {
  border-color: var(--jp-error-color1);
}

.jp-bs-Buttons {
  display: flex;
  min-height: 24px;
}

.jp-bs-Job-time,
.jp-bs-Job-words,
.jp-bs-empty,
.jp-bs-Calls span {
  color: var(--jp-ui-font-color2);
  font-size: var(--jp-ui-font-size0);
  overflow-wrap: anywhere;
}

.jp-bs-Job-time,
.jp-bs-Job-words {
  padding-left: 14px;
}

.jp-bs-Server .jp-bs-Job-time {
  padding-left: 0;
}

.jp-bs-empty {
  margin: 12px;
}

.jp-bs-Calls {
  padding-left: 14px;
}

.jp-bs-Calls progress {
  accent-color: var(--jp-brand-color1);
  display: block;
  width: 100%;
}

.jp-bs-Job-more {
  padding: 4px 0 4px 14px;
}

.jp-bs-Job-more dl {
  display: grid;
  font-size: var(--jp-ui-font-size0);
  gap: 2px 8px;
  grid-template-columns: max-content 1fr;
  margin: 0;
}

.jp-bs-Job-more dt {
  color: var(--jp-ui-font-color2);
}

.jp-bs-Job-more dd {
  margin: 0;
  overflow-wrap: anywhere;
}

.jp-bs-Status {
  align-items: center;
  display: flex;
}

.jp-bs-Status button {
  background: none;
  border: 0;
  color: inherit;
  cursor: pointer;
  font: inherit;
  font-size: var(--jp-ui-font-size1);
  font-variant-numeric: tabular-nums;
  padding: 0 6px;
  white-space: nowrap;
}

.jp-bs-Status button[data-urgent='true'] {
  background: var(--jp-warn-color3, transparent);
  font-weight: 600;
}

.jp-bs-Log {
  background: var(--jp-layout-color0);
  color: var(--jp-content-font-color1);
}

.jp-bs-Log,
.jp-bs-Log > div {
  display: flex;
  flex-direction: column;
  height: 100%;
}

.jp-bs-Log .jp-bs-Log-head {
  align-items: center;
  border-bottom: 1px solid var(--jp-border-color2);
  display: flex;
  flex-direction: row;
  font-size: var(--jp-ui-font-size1);
  gap: 12px;
  height: auto;
  padding: 4px 8px;
}

.jp-bs-Log pre {
  flex: 1;
  font-family: var(--jp-code-font-family);
  font-size: var(--jp-code-font-size);
  line-height: var(--jp-code-line-height);
  margin: 0;
  overflow: auto;
  padding: 8px;
  white-space: pre-wrap;
}

.jp-bs-Form {
  min-width: min(420px, 90vw);
}

.jp-bs-Field {
  align-items: center;
  display: grid;
  gap: 10px;
  grid-template-columns: 9em 1fr;
  margin-bottom: 8px;
}

.jp-bs-Field input,
.jp-bs-Field select,
.jp-bs-Field textarea {
  background: var(--jp-input-background);
  border: 1px solid var(--jp-input-border-color);
  box-sizing: border-box;
  color: var(--jp-ui-font-color0);
  font: inherit;
  padding: 4px 6px;
  width: 100%;
}

.jp-bs-Estimate {
  color: var(--jp-ui-font-color1);
  margin: 4px 0 0;
  min-height: 2.6em;
}
`,""]),t.d(o,{},{A:i})},314(e){e.exports=function(e){var o=[];return o.toString=function(){return this.map(function(o){var t="",r=void 0!==o[5];return o[4]&&(t+="@supports (".concat(o[4],") {")),o[2]&&(t+="@media ".concat(o[2]," {")),r&&(t+="@layer".concat(o[5].length>0?" ".concat(o[5]):""," {")),t+=e(o),r&&(t+="}"),o[2]&&(t+="}"),o[4]&&(t+="}"),t}).join("")},o.i=function(e,t,r,n,a){"string"==typeof e&&(e=[[null,e,void 0]]);var i={};if(r)for(var p=0;p<this.length;p++){var s=this[p][0];null!=s&&(i[s]=!0)}for(var l=0;l<e.length;l++){var c=[].concat(e[l]);r&&i[c[0]]||(void 0!==a&&(void 0===c[5]||(c[1]="@layer".concat(c[5].length>0?" ".concat(c[5]):""," {").concat(c[1],"}")),c[5]=a),t&&(c[2]&&(c[1]="@media ".concat(c[2]," {").concat(c[1],"}")),c[2]=t),n&&(c[4]?(c[1]="@supports (".concat(c[4],") {").concat(c[1],"}"),c[4]=n):c[4]="".concat(n)),o.push(c))}},o}},601(e){e.exports=function(e){return e[1]}},72(e){var o=[];function t(e){for(var t=-1,r=0;r<o.length;r++)if(o[r].identifier===e){t=r;break}return t}function r(e,r){for(var n={},a=[],i=0;i<e.length;i++){var p=e[i],s=r.base?p[0]+r.base:p[0],l=n[s]||0,c="".concat(s," ").concat(l);n[s]=l+1;var d=t(c),u={css:p[1],media:p[2],sourceMap:p[3],supports:p[4],layer:p[5]};if(-1!==d)o[d].references++,o[d].updater(u);else{var b=function(e,o){var t=o.domAPI(o);return t.update(e),function(o){o?(o.css!==e.css||o.media!==e.media||o.sourceMap!==e.sourceMap||o.supports!==e.supports||o.layer!==e.layer)&&t.update(e=o):t.remove()}}(u,r);r.byIndex=i,o.splice(i,0,{identifier:c,updater:b,references:1})}a.push(c)}return a}e.exports=function(e,n){var a=r(e=e||[],n=n||{});return function(e){e=e||[];for(var i=0;i<a.length;i++){var p=t(a[i]);o[p].references--}for(var s=r(e,n),l=0;l<a.length;l++){var c=t(a[l]);0===o[c].references&&(o[c].updater(),o.splice(c,1))}a=s}}},659(e){var o={};e.exports=function(e,t){var r=function(e){if(void 0===o[e]){var t=document.querySelector(e);if(window.HTMLIFrameElement&&t instanceof window.HTMLIFrameElement)try{t=t.contentDocument.head}catch(e){t=null}o[e]=t}return o[e]}(e);if(!r)throw Error("Couldn't find a style target. This probably means that the value for the 'insert' parameter is invalid.");r.appendChild(t)}},540(e){e.exports=function(e){var o=document.createElement("style");return e.setAttributes(o,e.attributes),e.insert(o,e.options),o}},56(e,o,t){e.exports=function(e){var o=t.nc;o&&e.setAttribute("nonce",o)}},825(e){e.exports=function(e){if("u"<typeof document)return{update:function(){},remove:function(){}};var o=e.insertStyleElement(e);return{update:function(t){var r,n,a;r="",t.supports&&(r+="@supports (".concat(t.supports,") {")),t.media&&(r+="@media ".concat(t.media," {")),(n=void 0!==t.layer)&&(r+="@layer".concat(t.layer.length>0?" ".concat(t.layer):""," {")),r+=t.css,n&&(r+="}"),t.media&&(r+="}"),t.supports&&(r+="}"),(a=t.sourceMap)&&"u">typeof btoa&&(r+="\n/*# sourceMappingURL=data:application/json;base64,".concat(btoa(unescape(encodeURIComponent(JSON.stringify(a))))," */")),e.styleTagTransform(r,o,e.options)},remove:function(){var e;null===(e=o).parentNode||e.parentNode.removeChild(e)}}}},113(e){e.exports=function(e,o){if(o.styleSheet)o.styleSheet.cssText=e;else{for(;o.firstChild;)o.removeChild(o.firstChild);o.appendChild(document.createTextNode(e))}}},959(e,o,t){var r=t(72),n=t.n(r),a=t(825),i=t.n(a),p=t(659),s=t.n(p),l=t(56),c=t.n(l),d=t(540),u=t.n(d),b=t(113),f=t.n(b),j=t(646),m={};m.styleTagTransform=f(),m.setAttributes=c(),m.insert=s().bind(null,"head"),m.domAPI=i(),m.insertStyleElement=u(),n()(j.A,m),j.A&&j.A.locals&&j.A.locals}}]);